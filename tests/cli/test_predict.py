"""segkit-predict on real files, good and bad."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.commands import exit_code

import segkit
from segkit.cli.predict import main
from segkit.data.inputs import find_jobs

run = partial(exit_code, main)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with two images, one of them deeper, and a file that is none."""
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "deeper/b.jpg")):
        pixels = np.random.default_rng(seed).integers(0, 256, (20 + seed, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.array(image)


def results(output: Path) -> list[str]:
    """What lies in the folders of the kinds of results."""
    return sorted(str(p.relative_to(output)) for p in output.glob("*/**/*") if p.is_file())


def test_a_folder_becomes_masks_and_overlays(checkpoint: Path, images: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run(checkpoint, images, "--output", output) == 0
    assert results(output) == ["masks/a.png", "masks/deeper/b.png", "overlays/a.jpg", "overlays/deeper/b.jpg"]
    mask = pixels(output / "masks/a.png")
    np.testing.assert_array_equal(mask, segkit.load(checkpoint, device="cpu")(images / "a.png").mask)
    assert pixels(output / "overlays/deeper/b.jpg").shape == (21, 30, 3)


def test_bad_inputs_are_named_and_the_others_done(
    checkpoint: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "torn.png").write_bytes((images / "a.png").read_bytes()[:200])
    (images / "text.jpg").write_text("hello")
    output = tmp_path / "out"
    code = run(checkpoint, images, tmp_path / "missing.png", f"{tmp_path}/*.gif", "-o", output, "--save=masks")
    assert code == 2
    assert results(output) == ["masks/a.png", "masks/deeper/b.png"]
    told = capsys.readouterr()
    lines = told.err.splitlines()
    for part in ("torn.png: the file is truncated", "text.jpg: is damaged", "missing.png: no such", "*.gif: no file"):
        assert len([line for line in lines if line.startswith("error: ") and part in line]) == 1, told.err
    assert lines[-1] == "error: 4 inputs could not be segmented"
    assert len(lines) == 5
    assert told.out.startswith("2 images in ")


def test_several_at_a_time_give_the_same(checkpoint: Path, images: Path, tmp_path: Path) -> None:
    shutil.copy(images / "a.png", images / "c.png")
    (images / "torn.png").write_bytes((images / "a.png").read_bytes()[:200])
    for batch in (1, 3):
        assert run(checkpoint, images, "-o", tmp_path / str(batch), f"dataloader.val_batch_size={batch}") == 2
    assert results(tmp_path / "1") == results(tmp_path / "3")
    for name in results(tmp_path / "1"):
        np.testing.assert_array_equal(pixels(tmp_path / "1" / name), pixels(tmp_path / "3" / name))


def test_options_reach_the_model(checkpoint: Path, images: Path, tmp_path: Path) -> None:
    slide = ["inference.crop_size=[16,16]", "inference.stride=[10,10]", "inference.mode=slide"]
    assert run(checkpoint, images / "a.png", "-o", tmp_path / "whole", "--device", "cpu") == 0
    assert run(checkpoint, images / "a.png", *slide, "-o", tmp_path / "slide") == 0
    assert run(checkpoint, images / "a.png", "-o", tmp_path / "tta", "inference.tta.flip=true") == 0
    masks = [pixels(tmp_path / name / "masks/a.png") for name in ("whole", "slide", "tta")]
    assert not np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["INPUT", "inference.mod=slide"], "inference.mod: unknown key, did you mean 'mode'?"),
        (["INPUT", "inference.mode=slide"], "inference.crop_size: slide mode needs it"),
        (["INPUT", "backbone.depth=18"], "backbone.depth=18: cannot be changed for a trained model"),
        (["INPUT", "inference.tta.flip=true,false"], "cannot be changed for a trained model"),
        (["INPUT", "inference.crop_size=[1"], "cannot read the override"),
        (["INPUT", "inference=slidee"], "no option is called 'slidee'"),
        (["INPUT", "--tta"], "inference.tta: is a single plain look"),
        (["INPUT", "--weights", "ema"], "has no averaged weights"),
        (["INPUT", "--device", "cuda:99"], "device: there is no cuda:99"),
        (["INPUT", "--opacity", "2"], "--opacity must be from 0 to 1"),
        (["INPUT", "--save", "mask"], "--save: unknown kind 'mask', did you mean 'masks'?; kinds: masks, overlays"),
        (["INPUT", "--save", ","], "--save: no kind is named"),
        (["INPUT", "--save", "geotiff"], "no input is a TIFF"),
        (["INPUT", "--raster-above", "-1"], "--raster-above must not be negative"),
        (["INPUT", "trainer.devices=none"], "trainer.devices: must be a positive integer"),
        (["/nowhere/x.png"], "/nowhere/x.png: no such file or folder"),
        (["EMPTY"], "the folder holds no image"),
    ],
)
def test_mistakes_are_told_in_a_line_and_nothing_is_written(
    checkpoint: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"INPUT": str(images), "EMPTY": str(tmp_path / "empty")}
    output = tmp_path / "out"
    assert run(checkpoint, *(places.get(a, a) for a in arguments), "-o", output) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert all(line.startswith("error: ") for line in told.err.splitlines())
    assert told.out == ""
    assert not output.exists()


def test_a_missing_checkpoint_and_an_image_in_its_place_are_refused(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "none.pt", images) == 2
    assert "none.pt: no such checkpoint" in capsys.readouterr().err
    assert run(images / "a.png", images) == 2
    assert "a.png: torn, or not a checkpoint" in capsys.readouterr().err


def test_results_that_cannot_be_written_stop_the_work(
    checkpoint: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file, not a folder")
    assert run(checkpoint, images, "-o", tmp_path / "out") == 2
    assert "out: cannot be written" in capsys.readouterr().err


def test_inputs_are_found_once_under_names_of_their_own(images: Path, tmp_path: Path) -> None:
    shutil.copy(images / "a.png", images / "a.jpg")
    output = images / "out"  # results among the images are none of them
    (output / "masks").mkdir(parents=True)
    shutil.copy(images / "a.png", output / "masks/a.png")
    jobs, problems = find_jobs([str(images), str(images / "a.png"), f"{images}/deeper/*.j*"], output)
    assert [str(job.target) for job in jobs] == ["a", "a_2", "deeper/b"]
    assert problems == []


@pytest.mark.parametrize("command", ["predict", "test"])
def test_help_does_not_load_torch(command: str) -> None:
    code = f"""
import sys
from segkit.cli.{command} import main
try:
    main(["--help"])
except SystemExit as end:
    heavy = {{"torch", "numpy", "cv2", "timm", "hydra", "pydantic"}} & set(sys.modules)
    sys.exit(end.code or ",".join(heavy) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"usage: segkit-{command}" in done.stdout


def test_real_photographs(checkpoint: Path, shared: Callable[..., Path], tmp_path: Path) -> None:
    photographs = sorted(shared("data", "camvid", "images").rglob("*.jpg"))[:2]
    assert run(checkpoint, *photographs, "-o", tmp_path / "out") == 0
    for path in photographs:
        assert pixels(tmp_path / "out" / "masks" / f"{path.stem}.png").shape == pixels(path).shape[:2]
