"""JPEGs decoded where they are read: the same pixels, or a smaller image that is nearer to the truth."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segkit.config.datasets import FolderDatasetConfig
from segkit.config.transforms import RandomCropConfig, RandomFlipConfig, RandomRotationConfig, ResizeConfig
from segkit.data.datasets.folder import FolderDataset
from segkit.data.encoded import Encoded, open_image
from segkit.data.io import read_image
from segkit.data.jpeg import jpeg_header
from segkit.data.loader import Source
from segkit.data.pipeline import Pipeline
from segkit.data.sampler import Key
from segkit.data.views import Box, Pixels, Scaled, read_all
from segkit.errors import DatasetError
from segkit.registry import TRANSFORMS

Photo = Callable[..., np.ndarray]


@pytest.fixture
def jpeg(tmp_path: Path, photo: Photo) -> Path:
    """607 x 809, as sharp as a photograph and as noisy."""
    smooth = cv2.resize(photo(303, 404), (809, 607), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(0).normal(0, 4, smooth.shape)
    Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8)).save(tmp_path / "a.jpg", quality=90)
    return tmp_path / "a.jpg"


def test_a_header_tells_size_and_orientation(tmp_path: Path, photo: Photo) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x010F] = "maker"
        exif[0x0112] = orientation
        Image.fromarray(photo(20, 40)).save(tmp_path / "a.jpg", exif=exif, progressive=orientation % 2 == 0)
        header = jpeg_header((tmp_path / "a.jpg").read_bytes())
        assert (header.size, header.orientation) == ((20, 40), orientation)
    data = (tmp_path / "a.jpg").read_bytes()
    for end in range(len(data)):  # whatever is missing, it is no crash
        jpeg_header(data[:end])


def test_what_needs_all_pixels_gets_all(jpeg: Path) -> None:
    whole = read_image(jpeg)
    view = open_image(jpeg, channels=3, apply_exif=True)
    assert isinstance(view, Encoded)
    assert view.size == (607, 809)
    np.testing.assert_array_equal(view.read(Box(10, 20, 30, 40)), whole[10:40, 20:60])
    for size in ((310, 410), (607, 809), (700, 900), (303, 600)):
        np.testing.assert_array_equal(
            read_all(Scaled(open_image(jpeg, channels=3, apply_exif=True), size, cv2.INTER_LINEAR)),
            read_all(Scaled(Pixels(whole), size, cv2.INTER_LINEAR)),
        )


def psnr(ours: np.ndarray, truth: np.ndarray) -> float:
    return float(20 * np.log10(255 / np.sqrt(max(np.mean((ours.astype(float) - truth) ** 2), 1e-4))))


@pytest.mark.parametrize("scale", [0.5, 0.45, 0.3, 0.25, 0.2, 0.12, 0.1])
@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA])
def test_a_smaller_decoding_is_nearer_to_the_mean_of_the_pixels(jpeg: Path, scale: float, interpolation: int) -> None:
    whole = read_image(jpeg)
    size = (round(607 * scale), round(809 * scale))
    truth = cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA)
    ours = read_all(Scaled(open_image(jpeg, channels=3, apply_exif=True), size, interpolation))
    plain = read_all(Scaled(Pixels(whole), size, interpolation))
    assert ours.shape == plain.shape
    assert psnr(ours, truth) > min(psnr(plain, truth) - 1, 30)
    assert psnr(ours, truth) > 30


def test_real_photographs_shrink_as_well(shared: Callable[..., Path]) -> None:
    paths = sorted(shared("data", "camvid", "images", "val").glob("*.jpg"))[:6]
    for path in paths:
        whole = read_image(path)
        for scale in (0.5, 0.4, 0.22):
            size = (round(whole.shape[0] * scale), round(whole.shape[1] * scale))
            truth = cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA)
            ours = read_all(Scaled(open_image(path, channels=3, apply_exif=True), size, cv2.INTER_LINEAR))
            plain = read_all(Scaled(Pixels(whole), size, cv2.INTER_LINEAR))
            assert psnr(ours, truth) > max(min(psnr(plain, truth), 45), 34)


def test_turned_images_are_decoded_at_once(tmp_path: Path, photo: Photo) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(20, 40)).save(tmp_path / "a.jpg", exif=exif)
    assert open_image(tmp_path / "a.jpg", channels=3, apply_exif=True).size == (40, 20)
    assert isinstance(open_image(tmp_path / "a.jpg", channels=3, apply_exif=False), Encoded)
    assert isinstance(open_image(tmp_path / "a.jpg", channels=1, apply_exif=True), Pixels)


def source(root: Path, *, lazy: bool, scale: tuple[float, float]) -> Source:
    dataset = FolderDataset(FolderDatasetConfig(root=root, class_names=("a", "b"), on_error="skip"), "train")
    configs = [
        ResizeConfig(output_size=(404, 303), scale_range=scale),
        RandomCropConfig(crop_size=(32, 32)),
        RandomFlipConfig(),
        RandomRotationConfig(),
    ]
    return Source(dataset, Pipeline([TRANSFORMS.build(c) for c in configs]), skip_errors=True, lazy=lazy)


@pytest.fixture
def folder(tmp_path: Path, photo: Photo) -> Path:
    for kind in ("images", "labels"):
        (tmp_path / kind / "train").mkdir(parents=True)
    for i in range(4):
        smooth = cv2.resize(photo(76, 101, seed=i), (404, 303), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(smooth).save(tmp_path / f"images/train/{i}.jpg")
        Image.fromarray((np.indices((303, 404)).sum(0) // 9 % 2).astype(np.uint8)).save(
            tmp_path / f"labels/train/{i}.png"
        )
    return tmp_path


def test_lazy_samples_equal_decoded_ones_unless_they_shrink(folder: Path) -> None:
    for scale in ((0.6, 2.0), (0.15, 0.5)):
        eager, lazy = source(folder, lazy=False, scale=scale), source(folder, lazy=True, scale=scale)
        for visit in range(12):
            key = Key(0, visit, visit % 4)
            ours, theirs = lazy.load(key, []), eager.load(key, [])
            np.testing.assert_array_equal(ours.mask, theirs.mask)
            assert (ours.name, ours.size, ours.path) == (theirs.name, theirs.size, theirs.path)
            if scale[0] > 0.5:
                np.testing.assert_array_equal(ours.image, theirs.image)
            else:
                assert np.abs(ours.image.astype(int) - theirs.image).mean() < 3


def test_damage_that_shows_late_is_the_sample_s_error(folder: Path) -> None:
    path = folder / "images/train/2.jpg"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    skipped: list[str] = []
    assert source(folder, lazy=True, scale=(0.15, 2.0)).load(Key(0, 0, 2), skipped).image.size
    assert "2.jpg: the file is truncated" in skipped[0]


def test_a_header_of_another_size_is_damage(jpeg: Path) -> None:
    whole = jpeg.read_bytes()
    view = Encoded(jpeg, whole, (607, 808), apply_exif=True)
    with pytest.raises(DatasetError, match="another size"):
        view.read(Box(0, 0, 1, 1))
