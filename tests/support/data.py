"""Data sets on disk for tests: images, label images and lists, a few pixels each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def write_pixels(path: Path, pixels: np.ndarray) -> Path:
    """Writes (H, W) or (H, W, 3) RGB pixels, making the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels), path
    return path


def noise(seed: int, *shape: int, dtype: Any = np.uint8) -> np.ndarray:
    """Random pixels over the whole range of a type."""
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def ids(seed: int, height: int, width: int, values: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    """Label values in blocks of four pixels, each of them somewhere."""
    cells = (-(-height // 4), -(-width // 4))
    chosen = np.random.default_rng(seed).choice(np.array(values), cells)
    chosen.flat[: len(values)] = values
    return chosen.repeat(4, 0).repeat(4, 1)[:height, :width].astype(np.uint8)


def write_folder(
    root: Path, splits: Mapping[str, int] | None = None, *, size: tuple[int, int] = (32, 40), suffix: str = ".png"
) -> Path:
    """``images/<split>`` and ``labels/<split>`` with classes 0, 1, 2; files are called <split><number>."""
    for number, (split, count) in enumerate((splits or {"train": 6, "val": 3}).items()):
        for i in range(count):
            write_pixels(root / "images" / split / f"{split}{i}{suffix}", noise(100 * number + i, *size, 3))
            write_pixels(root / "labels" / split / f"{split}{i}.png", ids(100 * number + i, *size))
    return root
