"""segkit-data check and inspect, as commands."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.data import ids, write_folder, write_pixels

from segkit.cli.data import main
from segkit.config.datasets import FolderDatasetConfig
from segkit.data.datasets.folder import FolderDataset
from segkit.data.loader import Source
from segkit.data.pipeline import Pipeline
from segkit.engine.data_page import draw_rows

SCENES = ["+experiment=quickstart", "dataset.num_train=6", "dataset.num_val=3", "dataset.image_size=[32,48]"]


def folder(root: Path, *classes: str) -> list[str]:
    names = ",".join(classes or ("a", "b", "c"))
    return ["dataset=FolderDataset", f"dataset.root={root}", f"dataset.class_names=[{names}]"]


def test_check_of_good_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", *folder(write_folder(tmp_path))])
    assert capsys.readouterr().out.splitlines() == [
        "train: 6 of 6 samples read, 3 of 3 classes seen, 32 x 40",
        "val: 3 of 3 samples read, 3 of 3 classes seen, 32 x 40",
        "0 errors, 0 warnings",
    ]


def test_check_ends_with_2_on_errors_and_0_on_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path)
    main(["check", *folder(tmp_path, "a", "b", "c", "never")])
    assert "warning: train: 1 of 4 classes do not occur in 6 labels: never" in capsys.readouterr().out
    for i in range(6):
        write_pixels(tmp_path / "labels" / "train" / f"train{i}.png", ids(i, 32, 40, (0, 255)))
    with pytest.raises(SystemExit) as stop:
        main(["check", *folder(tmp_path, "a")])
    assert stop.value.code == 2
    out = capsys.readouterr().out
    assert "error: train: in 6 of 6 labels, first in " in out
    assert "    label_map: {0: 0, 255: 1}\n" in out
    assert "    and 1 more; --all lists them\n" in out


def test_the_remedy_of_a_check_mends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path)
    for split, count in (("train", 6), ("val", 3)):
        for i in range(count):
            write_pixels(tmp_path / "labels" / split / f"{split}{i}.png", ids(i, 32, 40, (0, 1, 2, 9)))
    with pytest.raises(SystemExit):
        main(["check", *folder(tmp_path), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["errors"]) == (False, 2)
    [finding] = report["splits"]["train"]["findings"]
    assert (finding["kind"], len(finding["where"])) == ("unknown_values", 6)
    assert re.fullmatch(r"/.*/labels/train/train0\.png: 9 \(\d+ pixels\)", finding["where"][0])
    key, value = finding["remedy"].split(": ", 1)
    main(["check", *folder(tmp_path), f"++dataset.{key}={value.replace(' ', '')}", "--json"])
    assert json.loads(capsys.readouterr().out)["ok"]


def test_secret_labels_are_not_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = tmp_path / "ADEChallengeData2016"
    write_pixels(top / "images" / "testing" / "ADE_test_00000001.jpg", ids(0, 32, 40))
    main(["check", "dataset=ADE20kDataset", f"dataset.root={tmp_path}", "--splits", "test"])
    assert capsys.readouterr().out.splitlines()[-1] == "0 errors, 0 warnings"
    write_pixels(top / "images" / "training" / "ADE_00000001.jpg", ids(0, 32, 40))
    with pytest.raises(SystemExit):
        main(["check", "dataset=ADE20kDataset", f"dataset.root={tmp_path}", "--splits", "train"])


def test_what_check_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, says in (
        (folder(tmp_path / "none"), "error: dataset.root: no folder "),
        (["dataset=FolderDatset"], "did you mean 'FolderDataset'"),
        ([*folder(tmp_path), "--splits", "test"], "/images/test is missing"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["check", *arguments])
        assert stop.value.code == 2
        assert says in capsys.readouterr().err


def test_check_counts_what_has_no_partner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path)
    (tmp_path / "labels" / "train" / "train0.png").rename(tmp_path / "labels" / "train" / "trian0.png")
    write_pixels(tmp_path / "labels" / "train" / "train1.png", ids(0, 32, 40, (0, 1, 2, 9)))
    with pytest.raises(SystemExit) as stop:
        main(["check", *folder(tmp_path)])
    assert stop.value.code == 2
    told = capsys.readouterr().out
    assert f"1 of 6 images have no label: {tmp_path}/labels/train/train0.png, did you mean 'trian0'?" in told
    assert "1 of 6 labels have no image: trian0; mend it, or go on without" in told
    assert "error: train: in 1 of 5 labels" in told or "train1.png: label value 9" in told  # it goes on
    with pytest.raises(SystemExit) as stop:
        main(["check", *folder(tmp_path), "--json"])
    missing, values = json.loads(capsys.readouterr().out)["splits"]["train"]["findings"]
    assert (missing["kind"], values["kind"]) == ("missing", "unknown_values")
    assert missing["where"] == [f"{tmp_path}/labels/train/train0.png", "trian0, a label"]


def test_what_is_left_out_on_purpose_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path)
    (tmp_path / "labels" / "train" / "train0.png").unlink()
    main(["check", *folder(tmp_path), "dataset.on_error=skip"])
    assert "warning: train: FolderDataset, " in capsys.readouterr().out
    for path in (tmp_path / "labels" / "train").iterdir():
        path.unlink()
    with pytest.raises(SystemExit):
        main(["check", *folder(tmp_path)])
    assert "6 of 6 images have no label: " in capsys.readouterr().err


def test_help_and_errors_need_no_torch() -> None:
    code = (
        "import sys\nfrom segkit.cli.data import main\n"
        "for a in (['check', '-h'], ['inspect', 'dataset=x'], ['prepare', 'ade'], ['prepare', 'lip'], ['init', '/nowhere']):\n"
        "    try: main(a)\n    except SystemExit: pass\n"
        "sys.exit(str({'torch', 'cv2', 'numpy'} & set(sys.modules)) if 'torch' in sys.modules else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


def test_inspect_prints_figures_to_paste(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    main(["inspect", *SCENES, "--page", str(page), "--samples", "2", "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["splits"]["train"]["samples"] == 6
    assert len(figures["class_weights"]) == 7
    main(["inspect", *SCENES, "--page", str(page), "--samples", "2"])
    pasted = re.search(r"'(loss\.class_weights=.*)'", capsys.readouterr().out)
    main(["check", *SCENES, pasted[1]])  # taken as it is


def test_the_page_holds_itself(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    main(["inspect", *SCENES, "--page", str(page), "--samples", "2", "--augmentations", "3"])
    html = page.read_text()
    assert html.count('<section class="sample"') == 2
    assert html.count("data:image/jpeg;base64,") == html.count("data:image/png;base64,") == 2 * (1 + 3)
    assert not re.findall(r'(?:src|href)="(?!data:)', html)


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    return found or pytest.skip("no Chromium to look at the page with")


@pytest.mark.slow
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """The slider fades the labels, the choice hides samples, and every picture is drawn."""
    browser = chromium()
    write_folder(tmp_path / "d", {"train": 4, "val": 2})
    for i in range(3):  # class c is in one sample only
        write_pixels(tmp_path / "d" / "labels" / "train" / f"train{i}.png", ids(i, 32, 40, (0, 1)))
    page = tmp_path / "page.html"
    main(["inspect", *folder(tmp_path / "d"), "--page", str(page), "--samples", "4", "--augmentations", "1"])
    probe = """<script>onload = () => {
      const all = [...document.images], before = getComputedStyle(document.querySelector(".mask")).opacity;
      choice.value = 2; choice.onchange(); opacity.value = 20; opacity.oninput();
      const seen = [...document.querySelectorAll(".sample")].filter(s => s.offsetHeight).length;
      document.title = JSON.stringify([all.length, all.filter(i => i.naturalWidth).length, before, seen,
        getComputedStyle(document.querySelector(".mask")).opacity]);
    }</script>"""
    page.write_text(page.read_text().replace("</html>", f"{probe}</html>"))
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    command = [
        browser,
        *flags.split(),
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'u'}",
    ]
    dump = subprocess.run(
        [*command, "--dump-dom", f"file://{page}"], capture_output=True, text=True, check=False, timeout=120
    )
    title = re.search(r"<title>(.*?)</title>", dump.stdout)
    assert title is not None, dump.stderr[-2000:]
    assert json.loads(title[1]) == [16, 16, "0.55", 1, "0.2"]


def test_pictures_show_the_labels(tmp_path: Path) -> None:

    write_folder(tmp_path, {"train": 1})
    dataset = FolderDataset(FolderDatasetConfig(root=tmp_path, class_names=("a", "b", "c")), "train")
    [row] = draw_rows(Source(dataset, Pipeline([])), [0], 0)
    data = base64.b64decode(row.pictures[0].mask.partition(",")[2])
    drawn = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    palette = np.array(dataset.info.palette, np.uint8)
    assert (drawn == palette[dataset[0].mask]).all()
    assert row.pictures[0].classes == (0, 1, 2)
