"""Small images that look like photographs, and files of them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segkit.types import IGNORE_INDEX, Sample


def _photo(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth blotches with a little noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, channels), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


def _labels(height: int, width: int, classes: int = 5, seed: int = 0) -> np.ndarray:
    """Rectangles of class ids, a few of them ignored."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (height // 12 + 1, width // 12 + 1), dtype=np.uint8)
    coarse[rng.random(coarse.shape) < 0.05] = IGNORE_INDEX
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)


@pytest.fixture
def photo() -> Callable[..., np.ndarray]:
    return _photo


@pytest.fixture
def labels() -> Callable[..., np.ndarray]:
    return _labels


@pytest.fixture
def sample() -> Sample:
    """97 x 131 RGB with 5 classes and some ignored pixels."""
    return Sample("scene", _photo(97, 131), _labels(97, 131))


@pytest.fixture
def write() -> Callable[[Path, np.ndarray], Path]:
    """Writes an array as an image file (RGB where it has three channels), making the folders above it."""

    def save(path: Path, array: np.ndarray) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
        return path

    return save
