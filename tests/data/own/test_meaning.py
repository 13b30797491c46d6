"""What label values mean."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.data import noise, write_pixels

from segkit.data.own.images import look_at_images
from segkit.data.own.meaning import understand
from segkit.errors import DatasetError

V = 255


def labels(root: Path, *values: int, names: str = "", file: str = "classes.txt") -> list[Path]:
    if names:
        (root / file).write_text(names)
    return [write_pixels(root / "x.png", np.array([values], np.uint8))]


@pytest.mark.parametrize(
    ("values", "names", "classes", "label_map"),
    [
        ((0, 1, 2, V), "", ("class_0", "class_1", "class_2"), None),
        ((0, 1), "", ("background", "foreground"), None),
        ((0, V), "", ("background", "foreground"), {0: 0, V: 1}),
        ((0, V), "crack", ("background", "crack"), {0: 0, V: 1}),
        ((0, V), "no crack\ncrack", ("no crack", "crack"), {0: 0, V: 1}),
        ((0, 1), "crack", ("background", "crack"), None),
        ((0, 1, 2), "road\ncar", ("background", "road", "car"), None),
        ((1, 2, V), "road\ncar", ("road", "car"), {1: 0, 2: 1, V: "ignore"}),
        ((0, 2), "road\ncar\nsky", ("road", "car", "sky"), None),
        ((0, 127, V), "", ("value_0", "value_127", "value_255"), {0: 0, 127: 1, V: 2}),
        ((0, 50, 200, V), "a\nb\nc", ("a", "b", "c"), {0: 0, 50: 1, 200: 2, V: "ignore"}),
        ((0, 7, 11, V), "7 road\n11 wall", ("road", "wall"), {0: "ignore", 7: 0, 11: 1, V: "ignore"}),
        ((0, 1), "1: crack", ("background", "crack"), None),
        ((0, 1, 2), "0,sky\n1,road side\n2,car", ("sky", "road side", "car"), None),
    ],
)
def test_values(
    tmp_path: Path, values: tuple[int, ...], names: str, classes: tuple[str, ...], label_map: object
) -> None:
    found = understand(tmp_path, labels(tmp_path, *values, names=names))
    assert (found.class_names, found.label_map, found.colors) == (classes, label_map, None)


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("label_colors.txt", "128 64 128\tRoad\n64 0 128 Car\n"),
        ("class_dict.csv", "name,r,g,b\nRoad,128,64,128\nCar,64,0,128\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nRoad:128,64,128::\nCar:64,0,128::\n"),
    ],
)
def test_colors_with_names(tmp_path: Path, file: str, names: str) -> None:
    (tmp_path / file).write_text(names)
    path = write_pixels(tmp_path / "x.png", np.array([[[128, 64, 128], [64, 0, 128], [0, 0, 0]]], np.uint8))
    found = understand(tmp_path, [path])
    assert found.class_names == ("Road", "Car")
    assert found.colors == ((128, 64, 128), (64, 0, 128))
    assert found.ignore_colors == ((0, 0, 0),)


def test_colors_without_names_and_masks_that_are_all_black(tmp_path: Path) -> None:
    colored = write_pixels(tmp_path / "a.png", np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8))
    black = write_pixels(tmp_path / "b.png", np.zeros((1, 2, 3), np.uint8))
    found = understand(tmp_path, [colored, black])
    assert found.class_names == ("background", "color_ff0000")
    assert found.colors == ((0, 0, 0), (255, 0, 0))


def test_what_is_no_label(tmp_path: Path) -> None:
    photo = write_pixels(tmp_path / "photo.png", noise(0, 40, 40, 3))
    with pytest.raises(DatasetError, match=r"photo\.png: has \d+ colours, too many for classes"):
        understand(tmp_path, [photo])
    with pytest.raises(DatasetError, match="has 2 names, but the labels have 4 values"):
        understand(tmp_path, labels(tmp_path, 0, 9, 17, 30, names="a\nb"))
    ids = write_pixels(tmp_path / "ids.png", np.array([[0, 1]], np.uint8))
    colored = write_pixels(tmp_path / "c.png", np.array([[[255, 0, 0]]], np.uint8))
    with pytest.raises(DatasetError, match="use one kind"):
        understand(tmp_path, [ids, colored])


@pytest.mark.parametrize(
    ("shape", "dtype", "suffix", "channels"),
    [
        ((9, 8, 3), np.uint8, ".png", 3),
        ((9, 8), np.uint8, ".png", 1),
        ((9, 8), np.uint16, ".png", 1),
        ((9, 8, 4), np.uint8, ".png", 3),
        ((9, 8, 4), np.uint8, ".tif", 4),
        ((9, 8, 3), np.uint16, ".tif", 3),
        ((9, 8, 7), np.uint16, ".npy", 7),
    ],
)
def test_kinds_of_images(tmp_path: Path, shape: tuple[int, ...], dtype: type, suffix: str, channels: int) -> None:
    image = noise(0, *shape, dtype=dtype)
    path = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, image)
    else:
        cv2.imwrite(str(path), image, [cv2.IMWRITE_TIFF_COMPRESSION, 1] if suffix == ".tif" else [])
    kind = look_at_images([path])
    assert (kind.channels, kind.size) == (channels, (9, 8))
    if channels == 3 and dtype == np.uint8:
        assert kind.mean is None
    else:
        order = [2, 1, 0, 3][:channels] if len(shape) == 3 and suffix != ".npy" else list(range(channels))
        pixels = image.reshape(-1, image.shape[2] if image.ndim == 3 else 1)[:, order].astype(np.float64)
        np.testing.assert_allclose(kind.mean, pixels.mean(axis=0), atol=1e-3)
        np.testing.assert_allclose(kind.std, pixels.std(axis=0), atol=1e-3)


def test_images_that_differ_in_channels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", noise(0, 4, 4, 5))
    np.save(tmp_path / "b.npy", noise(0, 4, 4, 6))
    with pytest.raises(DatasetError, match=r"a\.npy has 5, .*b\.npy has 6"):
        look_at_images([tmp_path / "a.npy", tmp_path / "b.npy"])
