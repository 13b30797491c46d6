"""segkit-plot: pictures and tables of several runs, and what it says where it cannot."""

import csv
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import pytest
from support.commands import exit_code

from segkit.cli.plot import main
from segkit.engine.curves import running_mean

call = partial(exit_code, main)


def log(folder: Path, factor: float) -> Path:
    """A log of 20 steps and 2 evaluations."""
    folder.mkdir(parents=True)
    lines = []
    for step in range(1, 21):
        record = {"kind": "train", "step": step, "lr": 0.1, "loss": factor / step, "terms": {"a": 0.1, "b": 0.2}}
        lines.append(record | {"time": f"2026-01-01T00:{step:02d}:00+00:00"})
        if step % 10 == 0:
            lines.append({"kind": "val", "step": step, "miou": step / 40, "iou": {"road": 0.5, "sky": None}})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "tr')
    return folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    log(tmp_path / "runs" / "a", 1.0)
    log(tmp_path / "runs" / "b", 2.0)
    return tmp_path / "runs"


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures(runs: Path, suffix: str, start: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    output = runs / "new" / f"all.{suffix}"
    assert call(runs, "-k", "loss", "val/miou", "terms/*", "iou/road", "-o", output, "--smooth", "0.5") == 0
    assert output.read_bytes().startswith(start)
    assert capsys.readouterr().out == f"{output}: loss, val/miou, terms/*, iou/road of 2 runs\n"


def test_the_usual_figures(runs: Path) -> None:
    assert call(runs / "a", runs / "b" / "log.jsonl", "--x", "hours") == 0
    assert cv2.imread("curves.png").shape[1] > 3 * 400


def test_lines_are_named_by_run_and_figure(runs: Path) -> None:
    assert call(runs, "-k", "terms/*", "loss", "-o", "x.svg") == 0
    text = Path("x.svg").read_text()
    for label in ("a terms/a", "b terms/b", "loss"):
        assert f"<!-- {label} -->" in text


def test_tables(runs: Path) -> None:
    assert call(runs, "-k", "loss", "miou", "-o", "all.csv") == 0
    rows = list(csv.DictReader(Path("all.csv").read_text().splitlines()))
    assert len(rows) == 2 * 22
    assert list(rows[0]) == ["run", "kind", "step", "hours", "train/loss", "val/miou"]
    assert [row["train/loss"] for row in rows if (row["run"], row["step"], row["kind"]) == ("b", "4", "train")] == [
        "0.5"
    ]
    assert {row["val/miou"] for row in rows if row["kind"] == "val"} == {"0.25", "0.5"}
    assert float(rows[19]["hours"]) == pytest.approx(18 / 60, abs=1e-4)
    assert call(runs / "a", "-o", "whole.csv") == 0
    assert "val_iou/road" in Path("whole.csv").read_text().splitlines()[0]


def test_the_keys(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(runs / "a", "--list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "train/lr", "train/loss", "train/terms/a", "train/terms/b", "val/miou", "val_iou/road"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: no such run"),
        (["empty"], "empty: holds no log.jsonl, nor do its folders"),
        (["torn/log.jsonl"], "holds no record of a training"),
        (["runs", "-k", "losss"], "--keys losss: no figure is called so, did you mean 'loss'"),
        (["runs", "-o", "x.gif"], "must end in one of .png, .svg, .pdf, .csv (got x.gif)"),
        (["runs", "--smooth", "1"], "--smooth must be from 0 to less than 1"),
        (["runs", "-o", "taken/x.png"], "taken/x.png: cannot be written"),
        (["runs", "-o", "taken/x.csv"], "taken/x.csv: cannot be written"),
    ],
)
def test_mistakes(runs: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    Path("taken").write_text("")
    Path("torn").mkdir()
    Path("torn/log.jsonl").write_text('{"kind": "tra')
    before = sorted(Path().rglob("*"))
    assert call(*arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert words in told
    assert sorted(Path().rglob("*")) == before


def test_torch_is_not_loaded(runs: Path) -> None:
    script = "import sys; from segkit.cli.plot import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", script, str(runs), "-o", "x.csv"], check=True, capture_output=True, timeout=600
    )


def test_a_running_mean_does_not_lean_towards_its_start() -> None:
    assert running_mean([3.0] * 5, 0.9) == pytest.approx([3.0] * 5)
    assert running_mean([1.0, 2.0], 0.5) == pytest.approx([1.0, 5 / 3])
    assert running_mean([1.0, 2.0], 0.0) == [1.0, 2.0]
