"""The run's page: whole in itself, true to the log, of bounded size, and readable in a browser."""

import html
import json
import math
import os
import re
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support.browser import browser
from support.checkpoints import write_untrained
from support.runs import finish, start, tiny_config, wait_for_step

from segkit.config.training import EmaConfig, SGDConfig
from segkit.engine.charts import line_chart, thin, ticks
from segkit.engine.launch import train
from segkit.engine.records import read_log
from segkit.engine.run import RunFolder
from segkit.engine.run_page import RunView, change_state, render_page
from segkit.engine.showcase import Showcase
from segkit.errors import TrainingStopped
from segkit.inference.gallery import Exhibit, Gallery
from segkit.metrics.confusion import ConfusionMatrix
from segkit.metrics.scores import compute_scores
from segkit.types import ClassInfo

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run whose best evaluation need not be its last."""
    config = tiny_config(
        ema=EmaConfig(enabled=True, momentum=0.2),
        scheduler={"max_epochs": 3},
        trainer={"eval_interval_epochs": 1, "monitor": "ema/miou", "name": "<tiny> & co"},
        logger={"num_overlays": 2, "num_ranked": 2},
    )
    return RunFolder(train(config, tmp_path_factory.mktemp("runs") / "run").run_dir)


class Page(HTMLParser):
    """Counts what a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_needs_no_other_file(run: RunFolder) -> None:
    text = run.report.read_text()
    page = Page(text)
    places = [a.get(key) for _, a in page.tags for key in ("src", "href") if a.get(key)]
    assert places
    assert all(place.startswith("data:image/") for place in places)
    assert not re.search(r"@import|url\(|https?://", text)
    assert page.all("link") == []
    assert "<title>&lt;tiny&gt; &amp; co</title>" in text


def test_the_page_tells_what_the_log_tells(run: RunFolder) -> None:
    text = run.report.read_text()
    val = [record for record in read_log(run.log) if record["kind"] == "val"]
    best = max(val, key=lambda record: record["ema/miou"])
    assert f"<b>{100 * best['ema/miou']:.2f}</b><span>mean IoU</span>" in text
    assert "finished" in text
    for name, iou in best["ema/iou"].items():
        row = re.search(rf'<tr><td title="{re.escape(name)}">.*', text)
        assert row is not None
        assert ("-" if iou is None else f"{100 * iou:.2f}") in row[0]
    assert [name for name, *_ in best["worst_images"]] == re.findall(
        r"<h3>(\w+) ", text[text.index("Worst images") : text.index("Best images")]
    )
    assert f"mIoU {100 * best['worst_images'][0][2]:.2f}" in text
    for title in ("training loss", "validation", "learning rate", "gradient norm", "images per second"):
        assert f'aria-label="{title}"' in text
    config = re.search(r"config.yaml</summary><pre>(.*?)</pre>", text, re.DOTALL)
    assert config is not None
    assert html.unescape(config[1]) == run.config.read_text()


def test_pictures_are_of_the_checkpoint_to_use(run: RunFolder) -> None:
    """The page of the end shows what the log's best evaluation saw: 4 pictures each of 2 worst, 2 best and 2 chosen."""
    assert len(Page(run.report.read_text()).all("img")) == 4 * 6
    worst = next(r for r in reversed(read_log(run.log)) if r["kind"] == "val")["worst_images"]
    assert [len(entry) for entry in worst] == [3, 3]
    assert cv2.imread(str(run.overlays)).shape[1] == 3 * 320 + 2 * 4


def test_a_page_while_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    monkeypatch.setattr("segkit.engine.showcase.write_file", lambda path, text: pages.append(text))
    train(tiny_config(scheduler={"max_epochs": 2}, trainer={"eval_interval_epochs": 1}), tmp_path / "run")
    assert [re.search(r'class="state (\w+)"', page)[1] for page in pages] == ["running", "running", "finished"]
    assert "epoch 1, the best so far" in pages[0]
    assert "4 of 8</b><span>steps" in pages[0]


def test_the_page_tells_how_the_run_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config(scheduler={"max_epochs": 2}, trainer={"eval_interval_epochs": 1})
    run, shown = RunFolder(tmp_path / "run"), Showcase.evaluated

    def state() -> str:
        return re.search(r'class="state \w+"[^>]*>(\w+)', run.report.read_text())[1]

    for error, expected in ((MemoryError(), "failed"), (TrainingStopped("stopped by SIGTERM", 143), "stopped")):

        def struck(*args: Any, error: Exception = error) -> None:
            shown(*args)
            assert state() == "running"
            raise error

        monkeypatch.setattr(Showcase, "evaluated", struck)
        with pytest.raises(type(error)):
            train(config, run.path)
        assert state() == expected
    monkeypatch.setattr(Showcase, "evaluated", lambda *_: pytest.fail("nothing is left to evaluate"))
    train(config, run.path)
    assert state() == "finished"


def test_no_page_if_none_is_wanted(tmp_path: Path) -> None:
    train(tiny_config(scheduler={"max_epochs": 1}, logger={"report": False, "csv": False}), tmp_path / "run")
    assert not RunFolder(tmp_path / "run").report.exists()
    assert not RunFolder(tmp_path / "run").table("val").exists()


def test_the_tables(run: RunFolder) -> None:
    records = read_log(run.log)
    for kind in ("train", "val"):
        lines = [line.split(",") for line in run.table(kind).read_text().splitlines()]
        told = [record for record in records if record["kind"] == kind]
        assert [int(line[0]) for line in lines[1:]] == [record["step"] for record in told]
        assert {len(line) for line in lines} == {len(lines[0])}
        name = "train/loss" if kind == "train" else "val/ema/miou"
        column = [float(line[lines[0].index(name)]) for line in lines[1:]]
        assert column == pytest.approx([record[name.partition("/")[2]] for record in told], rel=1e-6)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_single_class(labelled: bool) -> None:
    """Yes/no tasks have one class, which is confused with the background."""
    label = torch.randint(0, 2, (40, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    matrix = ConfusionMatrix(1)
    matrix.update(label.flip(0), label if labelled else torch.full_like(label, 255))
    gallery = Gallery([], 1)
    gallery.worst = [Exhibit("photo", 0, math.nan, np.zeros((40, 60, 3), np.uint8), label.numpy(), label.numpy())]
    view = RunView(
        title="crack",
        place="/runs/crack",
        state="running",
        config=tiny_config(),
        info=ClassInfo(("crack",), ((255, 0, 0),)),
        records=[],
        scores=compute_scores(matrix),
        prefix="",
        evaluation="epoch 1",
        gallery=gallery,
        tiles={},
        command="segkit-predict",
    )
    text = render_page(view)
    assert text.count("<tr><td title=") == 1
    confused = set(re.findall(r"<tr><td>(\w+)<td>(\w+)<td", text))
    assert confused == ({("background", "crack"), ("crack", "background")} if labelled else set())
    assert len(Page(text).all("img")) == 4


@pytest.mark.slow
def test_two_processes_choose_the_same_images_as_one(tmp_path: Path) -> None:
    chosen = []
    for processes in (1, 2):
        folder = RunFolder(tmp_path / f"run-{processes}")
        config = tiny_config(
            scheduler={"max_steps": 1, "optimizer": SGDConfig(lr=1e-9)},
            dataset={"num_val": 9},
            trainer={"devices": processes, "init_from": write_untrained(tmp_path / "first.pt", tiny_config())},
            logger={"num_ranked": 2, "num_overlays": 3},
        )
        code, output = finish(start(config, folder.path))
        assert code == 0, output
        (record,) = (record for record in read_log(folder.log) if record["kind"] == "val")
        chosen.append((record["worst_images"], record["best_images"]))
        assert len(Page(folder.report.read_text()).all("img")) == 4 * 7
    assert chosen[0] == chosen[1]


@pytest.fixture
def killed(tmp_path: Path) -> RunFolder:
    """A run of a single process that SIGKILL struck after its page was written."""
    folder = RunFolder(tmp_path / "killed")
    config = tiny_config(scheduler={"max_epochs": 50}, trainer={"eval_interval_epochs": 1, "keep_checkpoints": 0})
    process = start(config, folder.path)
    wait_for_step(process, folder.path, 9)
    assert folder.is_busy()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return folder


def badge(folder: RunFolder) -> tuple[str, float, float, str]:
    """(class, time of writing, patience, words) of the page."""
    pattern = r'<span class="state (\w+)" data-written="(\d+)" data-patience="(\d+)">([^<]+)</span>'
    kind, written, patience, words = re.search(pattern, folder.report.read_text()).groups()
    return kind, float(written), float(patience), words


def test_the_page_of_a_killed_run_says_when_it_was_written(killed: RunFolder) -> None:
    kind, written, patience, words = badge(killed)
    assert (kind, words) == ("running", f"running, as of {datetime.fromtimestamp(written, UTC):%Y-%m-%d %H:%M:%S} UTC")
    assert time.time() - 60 < written <= time.time() + 1
    assert patience == 60  # a checkpoint every second or so
    assert not killed.is_busy()  # which tells a process on this machine from what is written
    change_state(killed.report, "running", 7200.0)  # it goes on, and its evaluations take long
    assert badge(killed)[2] == 7200
    change_state(killed.report, "running", 60.0)
    assert badge(killed)[2] == 7200  # the longest that it was silent so far counts
    change_state(killed.report, "failed")
    assert badge(killed)[::3] == ("failed", "failed")


def test_every_checkpoint_is_a_word_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("segkit.engine.showcase.change_state", lambda path, state, patience_s: told.append(state))
    config = tiny_config(scheduler={"max_epochs": 2}, trainer={"eval_interval_epochs": 2, "save_interval_steps": 2})
    train(config, tmp_path / "run")
    assert told == ["running"] * (1 + 4 + 1)  # the start, steps 2, 4, 6, 8, and the scores of the evaluation


def test_a_browser_tells_a_run_that_is_silent(killed: RunFolder, run: RunFolder, tmp_path: Path) -> None:
    shown = "[document.querySelector('.state').textContent, document.querySelector('#silent').innerText]"
    (tmp_path / "profile").mkdir()
    with browser(tmp_path / "profile") as page:
        page.open(killed.report.absolute().as_uri())
        assert page.value(shown) == [badge(killed)[3], ""]
        later = "const now = Date.now; Date.now = () => now() + 4 * 3600e3;"
        page.call("Page.addScriptToEvaluateOnNewDocument", source=later)
        page.open(killed.report.absolute().as_uri())
        words, warning = page.value(shown)
        assert words == "no word for 4 h"
        since = badge(killed)[3].removeprefix("running, as of ")
        assert warning.startswith(f"No word from this run since {since}, where one was due within 1 min.")
        assert f"trainer.run_dir={killed.path}, goes on from the last checkpoint" in warning
        page.open(run.report.absolute().as_uri())
        assert page.value(shown) == ["finished", ""]  # however long ago
        assert page.told == []


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
def test_in_a_browser(run: RunFolder, tmp_path: Path) -> None:
    """Every picture is drawn, no script fails, nothing is wider than the window; and the screenshot shows it."""
    probe = """<script>
    const failures = [];
    window.onerror = message => failures.push(message);
    addEventListener("load", () => {
      document.querySelectorAll("#classes th")[1].click();
      const first = document.querySelector("#classes tbody tr td").title;
      const broken = [...document.images].filter(image => !image.naturalWidth).length;
      document.title = JSON.stringify({failures, broken, first, wide: document.body.scrollWidth > innerWidth});
    });
    </script>"""
    page, shot = tmp_path / "index.html", tmp_path / "page.png"
    page.write_text(run.report.read_text().replace("<script>", f"{probe}<script>", 1))
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
        f"--user-data-dir={tmp_path}/profile", "--window-size=1200,2400",
    ]  # fmt: skip
    dumped = subprocess.run(
        [CHROMIUM, *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    found = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dumped)[1]))
    val = [record for record in read_log(run.log) if record["kind"] == "val"]
    ious = max(val, key=lambda record: record["ema/miou"])["ema/iou"]
    assert found == {"failures": [], "broken": 0, "wide": False, "first": max(ious, key=lambda name: ious[name] or 0)}
    command = [CHROMIUM, *flags, f"--screenshot={shot}", run.report.as_uri()]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    pixels = cv2.imread(str(shot))
    assert pixels.shape[:2] == (2400, 1200)
    assert np.unique(pixels.reshape(-1, 3), axis=0).shape[0] > 500  # not an empty window


def test_a_curve_keeps_its_spikes_however_long() -> None:
    points = [(float(step), 1.0) for step in range(100_000)]
    points[54_321] = (54_321.0, 9.0)
    kept = thin(points)
    assert len(kept) <= 300
    assert (54_321.0, 9.0) in kept
    assert kept == sorted(kept)
    assert len(line_chart({"loss": points}, label="loss")) < 10_000
    assert line_chart({"loss": []}, label="loss") == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.25, 0.5, 0.75, 1]),
        (0, 160_000, [0, 50_000, 100_000, 150_000]),
        (3, 3, [3]),
        (0.98, 4.3, [1, 2, 3, 4]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 5) == pytest.approx(expected)
