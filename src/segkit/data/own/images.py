"""What images of a folder are like: channels, type, sizes, and statistics where ImageNet's do not fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from segkit.data.io import read_bytes, read_image
from segkit.data.look import measure
from segkit.data.tiff import MAGIC as TIFF
from segkit.data.tiff import read_tiff
from segkit.errors import DatasetError

_READ = 64
"""Images to look at; ``segkit-data inspect`` looks at all."""


@dataclass(frozen=True)
class ImageKind:
    """Images in figures.

    Attributes:
        channels: as FolderDataset reads them.
        size: median (height, width).
        mean: of each channel, in the files' units; None for 8-bit RGB, where pretrained weights know theirs.
        std: of each channel.
    """

    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def look_at_images(paths: Sequence[Path]) -> ImageKind:
    """Reads some of the images.

    Raises:
        DatasetError: one cannot be read, or they differ in channels.
    """
    some = paths[:: max(1, len(paths) // _READ)]
    stored = {path: _stored_channels(path) for path in some}
    channels = _channels(stored)
    facts = [measure(read_image(path, channels=channels)) for path in some]
    height, width = np.median([f.shape[:2] for f in facts], axis=0).astype(int).tolist()
    if channels == 3 and all(f.dtype == "uint8" for f in facts):
        return ImageKind(channels, (height, width))
    mean = np.mean([f.mean for f in facts], axis=0)
    deviation = np.sqrt(np.maximum(np.mean([f.square for f in facts], axis=0) - mean**2, 1e-6))
    return ImageKind(channels, (height, width), *(tuple(v.round(3).tolist()) for v in (mean, deviation)))


def _channels(stored: dict[Path, int]) -> int:
    counts = set(stored.values())
    if len(counts) == 1:
        return counts.pop()
    if counts <= {1, 3}:  # grey files among RGB
        return 3
    first: dict[int, Path] = {}
    for path, count in stored.items():
        first.setdefault(count, path)
    shown = ", ".join(f"{path} has {count}" for count, path in sorted(first.items()))
    raise DatasetError(f"images of one data set need one number of channels: {shown}")


def _stored_channels(path: Path) -> int:
    """Channels of the file, alpha left out."""
    if path.suffix.lower() == ".npy":
        try:
            shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
        except (ValueError, OSError) as error:
            raise DatasetError(f"{path}: is no plain array file ({error})") from None
        return int(shape[2]) if len(shape) == 3 else 1
    data = read_bytes(path)
    bands = read_tiff(path, data) if data.startswith(TIFF) else None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if bands is None else bands
    if image is None:
        raise DatasetError(f"{path}: is damaged or no image that OpenCV reads")
    count = 1 if image.ndim == 2 else int(image.shape[2])
    return 3 if count == 4 and bands is None else count
