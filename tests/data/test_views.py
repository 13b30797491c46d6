"""Windows of lazy views equal windows of the whole image, as OpenCV computes it."""

import cv2
import numpy as np
import pytest

from segkit.data.views import Box, Cropped, Mirrored, Nearest, Pixels, Scaled, View, Warped, read_all

SMOOTH = [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]


class Counting:
    """Counts the pixels that are read from an image."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.read_pixels = 0

    @property
    def size(self) -> tuple[int, int]:
        return self.array.shape[0], self.array.shape[1]

    def read(self, box: Box) -> np.ndarray:
        self.read_pixels += box.height * box.width
        return Pixels(self.array).read(box)


def random_box(rng: np.random.Generator, size: tuple[int, int]) -> Box:
    height, width = int(rng.integers(1, size[0] + 1)), int(rng.integers(1, size[1] + 1))
    return Box(int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1)), height, width)


def window(array: np.ndarray, box: Box) -> np.ndarray:
    return array[box.top : box.top + box.height, box.left : box.left + box.width]


@pytest.mark.parametrize("seed", range(200))
def test_nearest_equals_opencv(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, new_height, new_width = rng.integers(1, 300, 4).tolist()
    array = rng.integers(0, 256, (height, width), dtype=np.uint8)
    whole = cv2.resize(array, (new_width, new_height), interpolation=cv2.INTER_NEAREST)
    view = Nearest(Pixels(array), (new_height, new_width))
    np.testing.assert_array_equal(read_all(view), whole)
    box = random_box(rng, view.size)
    np.testing.assert_array_equal(view.read(box), window(whole, box))


@pytest.mark.parametrize("interpolation", [*SMOOTH, cv2.INTER_AREA])
@pytest.mark.parametrize("seed", range(25))
def test_scaled_equals_opencv_even_on_noise(interpolation: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(2, 250, 2).tolist()
    factor = rng.uniform(0.4, 2.2)
    size = (max(int(height * factor + 0.5), 1), max(int(width * factor + 0.5), 1))
    array = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    whole = cv2.resize(array, size[::-1], interpolation=interpolation)
    view = Scaled(Pixels(array), size, interpolation)
    np.testing.assert_array_equal(read_all(view), whole)
    box = random_box(rng, size)
    difference = np.abs(view.read(box).astype(int) - window(whole, box))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("interpolation", [cv2.INTER_NEAREST, *SMOOTH])
@pytest.mark.parametrize("seed", range(25))
def test_warped_equals_opencv(interpolation: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(2, 150, 2).tolist()
    array = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (5, 5), 0)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.integers(-180, 181)), 1.0)
    whole = cv2.warpAffine(array, turn, (width, height), flags=interpolation, borderValue=(9, 9, 9))
    view = Warped(Pixels(array), cv2.invertAffineTransform(turn), interpolation, 9.0)
    assert np.abs(read_all(view).astype(int) - whole).max() <= 1
    box = random_box(rng, view.size)
    difference = np.abs(view.read(box).astype(int) - window(whole, box))
    assert np.percentile(difference, 99.5) <= 1  # a rounded coordinate may fall on the other side of an edge


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_number_of_channels(channels: int, dtype: type) -> None:
    array = np.random.default_rng(0).integers(0, 256, (20, 30, channels)).astype(dtype)
    turn = np.array([[0.9, 0.1, 0.0], [-0.1, 0.9, 0.0]])
    views: list[View] = [
        Scaled(Pixels(array), (33, 40), cv2.INTER_LINEAR),
        Nearest(Pixels(array), (33, 40)),
        Mirrored(Pixels(array)),
        Warped(Pixels(array), turn, cv2.INTER_CUBIC, 0.0),
    ]
    for view in views:
        pixels = read_all(view)
        assert pixels.shape == (*view.size, channels)
        assert pixels.dtype == dtype


def test_mirrored_and_cropped() -> None:
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    view = Mirrored(Cropped(Pixels(array), Box(1, 2, 4, 5)))
    np.testing.assert_array_equal(read_all(view), array[1:5, 2:7][:, ::-1])
    np.testing.assert_array_equal(view.read(Box(1, 0, 2, 3)), array[1:5, 2:7][:, ::-1][1:3, :3])


def test_a_window_costs_a_window() -> None:
    source = Counting(np.zeros((1024, 2048, 3), np.uint8))
    Cropped(Scaled(source, (2048, 4096), cv2.INTER_LINEAR), Box(0, 0, 512, 1024)).read(Box(0, 0, 512, 1024))
    assert source.read_pixels < 1.05 * 256 * 512
    labels = Counting(np.zeros((1024, 2048), np.uint8))
    Nearest(labels, (2048, 4096)).read(Box(1000, 2000, 512, 1024))
    assert labels.read_pixels < 1.05 * 256 * 512
