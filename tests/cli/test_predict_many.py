"""segkit-predict on many files: every kind of result, taken up where it stopped, shared by processes."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.commands import exit_code

import segkit
from segkit.cli.predict import main
from segkit.inference.video import Video, VideoWriter

run = partial(exit_code, main)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with five images of two sizes."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (20 + number % 2, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def records(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "predictions.jsonl").read_text().splitlines()]


def test_every_kind_of_result_is_what_the_predictor_sees(checkpoint: Path, images: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run(checkpoint, images, "-o", output, "--save", "all", "--half", "--device", "cpu") == 0
    expected = segkit.load(checkpoint, device="cpu")(images / "0.png")
    with Image.open(output / "masks/0.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask), expected.mask)
    with np.load(output / "probs/0.npz") as probs:
        np.testing.assert_allclose(probs["probs"], expected.probs, atol=1e-3)
    assert json.loads((output / "rle/0.json").read_text()) == expected.coco()
    found = records(output)
    assert [record["target"] for record in found] == ["0", "1", "2", "3", "4"]
    assert found[0]["shares"] == pytest.approx(expected.shares(), abs=1e-4)
    assert all((output / path).exists() for record in found for path in record["files"].values())
    assert not list(output.rglob("*.part*"))


def test_all_segments_are_a_data_set_of_coco(checkpoint: Path, images: Path, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    assert run(checkpoint, images, "-o", tmp_path / "out", "--save", "rle,masks") == 0
    data = coco.COCO(tmp_path / "out" / "coco.json")
    assert [image["file_name"] for image in data.loadImgs(data.getImgIds())] == [f"{n}.png" for n in range(5)]
    with Image.open(tmp_path / "out/masks/0.png") as opened:
        mask = np.asarray(opened)
    found = np.full_like(mask, 255)
    for annotation in data.loadAnns(data.getAnnIds(imgIds=[1])):
        found[data.annToMask(annotation) > 0] = annotation["category_id"]
    np.testing.assert_array_equal(found, mask)


def test_what_is_done_is_not_done_again(
    checkpoint: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = (checkpoint, images, "-o", output)
    assert run(*arguments) == 0
    before = {path: path.stat().st_mtime_ns for path in (output / "masks").iterdir()}
    (output / "masks/1.png").unlink()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(images / "2.png")  # another picture
    capsys.readouterr()
    assert run(*arguments) == 0
    told = capsys.readouterr().out
    assert told.startswith("2 images in ")
    assert "3 were done before" in told
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"1.png", "2.png"}
    assert run(*arguments, "--save", "masks,overlays,rle") == 0  # a further kind
    assert capsys.readouterr().out.startswith("5 images in ")
    assert run(*arguments, "--overwrite") == 0
    assert capsys.readouterr().out.startswith("5 images in ")
    assert len(records(output)) == 5


def test_other_options_are_refused_until_they_may_overwrite(
    checkpoint: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (checkpoint, images, "-o", tmp_path / "out", "--save", "masks")
    assert run(*arguments) == 0
    assert run(*arguments, "inference.tta.flip=true") == 2
    told = capsys.readouterr().err
    assert "holds results of other options (inference.tta.flip was false, is true" in told
    assert "use another --output, or --overwrite" in told
    assert run(*arguments, "inference.tta.flip=true", "--overwrite") == 0
    assert run(*arguments, "inference.tta.flip=true") == 0
    assert "5 were done before" in capsys.readouterr().out


def test_a_line_that_was_cut_off_is_passed_over(checkpoint: Path, images: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run(checkpoint, images, "-o", output) == 0
    lines = (output / "predictions.jsonl").read_text().splitlines(keepends=True)
    (output / "predictions.jsonl").write_text(lines[0])
    (output / "predictions.3.jsonl").write_text(lines[1] + lines[2][:40])  # of a process that was killed
    assert run(checkpoint, images, "-o", output) == 0
    assert len(records(output)) == 5
    assert sorted(path.name for path in output.glob("*.jsonl")) == ["predictions.jsonl"]


def test_names_of_several_calls_do_not_collide(checkpoint: Path, images: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(np.full((33, 44, 3), 7, np.uint8)).save(other / "0.png")
    assert run(checkpoint, images, "-o", tmp_path / "out") == 0
    assert run(checkpoint, other, "-o", tmp_path / "out") == 0
    assert run(checkpoint, images, other, "-o", tmp_path / "out") == 0
    with Image.open(tmp_path / "out/masks/0_2.png") as mask:
        assert mask.size == (44, 33)
    assert len(records(tmp_path / "out")) == 6


def test_a_video_becomes_masks_and_a_video(checkpoint: Path, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "clip.webm", 10) as writer:
        for number in range(5):
            writer.write(np.full((32, 48, 3), 50 * number, np.uint8))
    (tmp_path / "bad.mp4").write_text("hello")
    output = tmp_path / "out"
    arguments = [tmp_path / "clip.webm", tmp_path / "bad.mp4", "-o", output, "--save", "masks,overlays,gallery"]
    assert run(checkpoint, *arguments, "dataloader.val_batch_size=2") == 2
    assert sorted(path.name for path in (output / "masks/clip").iterdir()) == [f"{n:06d}.png" for n in range(5)]
    frames = list(Video.open(output / "videos/clip.webm").frames())
    assert [frame.shape for frame in frames] == [(32, 48, 3)] * 5
    (record,) = records(output)
    assert (record["kind"], record["frames"], record["size"]) == ("video", 5, [32, 48])
    assert sum(record["shares"].values()) == pytest.approx(1, abs=1e-3)


def test_rasters_and_small_tiffs_keep_their_place(checkpoint: Path, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    pixels = np.random.default_rng(0).integers(1, 256, (3, 60, 80), dtype=np.uint8)
    pixels[:, :20, :30] = 0
    profile = {"driver": "GTiff", "height": 60, "width": 80, "count": 3, "dtype": "uint8", "nodata": 0}
    with rasterio.open(tmp_path / "a.tif", "w", crs="EPSG:32633", transform=place, **profile) as file:
        file.write(pixels)
    assert run(checkpoint, tmp_path / "a.tif", "-o", tmp_path / "small", "--save", "geotiff,masks") == 0
    large = ["-o", tmp_path / "large", "--save", "masks,overlays,gallery", "--raster-above", "0.001"]
    assert run(checkpoint, tmp_path / "a.tif", *large) == 0
    for path in (tmp_path / "small/geotiff/a.tif", tmp_path / "large/masks/a.tif"):
        with rasterio.open(path) as file:
            assert (file.crs, file.transform, file.nodata) == ("EPSG:32633", place, 255)
            mask = file.read(1)
        assert (mask[:20, :30] == 255).all()
        assert (mask != 255).sum() == 60 * 80 - 20 * 30
    assert (tmp_path / "large/overlays/a.jpg").exists()
    assert records(tmp_path / "large")[0]["kind"] == "raster"


def test_the_gallery_names_files_that_exist(checkpoint: Path, images: Path, tmp_path: Path) -> None:
    (images / "0.png").rename(images / '<b>ä & "o".png')
    assert run(checkpoint, images, "-o", tmp_path / "out", "--save", "masks,gallery") == 0
    page = (tmp_path / "out/gallery.html").read_text(encoding="utf-8")
    line = next(line for line in page.splitlines() if line.startswith("const cards = "))
    assert "<b>" not in line
    cards, _ = json.JSONDecoder().raw_decode(line.removeprefix("const cards = "))
    assert len(cards) == 5
    for card in cards:
        for path in (card["overlay"], card["image"], *card["files"].values()):
            assert (tmp_path / "out" / path).is_file()
        assert list(card["shares"].values()) == sorted(card["shares"].values(), reverse=True)
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["devices", "torchrun"])
def test_processes_share_the_files(checkpoint: Path, images: Path, tmp_path: Path, launcher: str) -> None:
    (images / "torn.png").write_bytes((images / "0.png").read_bytes()[:100])
    assert run(checkpoint, images, "-o", tmp_path / "one", "--save", "all") == 2
    command = [
        sys.executable,
        "-m",
        *(["torch.distributed.run", "--nproc_per_node", "2", "-m"] * (launcher == "torchrun")),
    ]
    arguments = [checkpoint, images, "-o", tmp_path / "two", "--save", "all", "dataloader.val_batch_size=1"]
    arguments += ["trainer.devices=2"] * (launcher == "devices")
    done = subprocess.run(
        [*command, "segkit.cli.predict", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == (2 if launcher == "devices" else 1), done.stderr  # torchrun ends with 1 whatever happens
    assert done.stderr.count("torn.png: the file is truncated") == 1
    assert done.stderr.count("1 input could not be segmented") == 1
    assert done.stdout.count("5 images in ") == 1
    assert [r["target"] for r in records(tmp_path / "two")] == ["0", "1", "2", "3", "4"]
    for path in (tmp_path / "one" / "masks").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "masks" / path.name).read_bytes()
    one, two = (json.loads((tmp_path / name / "coco.json").read_text()) for name in ("one", "two"))
    assert one == two
