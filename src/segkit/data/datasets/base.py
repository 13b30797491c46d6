"""What all data sets of image files share."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkit.config.datasets import DatasetConfig
from segkit.data.cache import open_cache
from segkit.data.encoded import open_image
from segkit.data.io import Array, read_image, read_label
from segkit.data.labels import LabelMap
from segkit.data.transforms.base import Frame, Opened, frame_of
from segkit.data.views import Pixels
from segkit.errors import DatasetError, SizeMismatchError
from segkit.types import ClassInfo, Sample


class Record(NamedTuple):
    """One sample on disk: its id, its image, and its label file, if it has one."""

    name: str
    image: Path
    label: Path | None


class FileDataset:
    """A split whose images and labels are files.

    Args:
        config: the options.
        split: name of the split, for messages.
        records: the samples, in order.
        label_map: value in the label files -> class id or ``"ignore"``, unless the config has a map of its own.

    Raises:
        DatasetError: there is no sample.
    """

    def __init__(
        self, config: DatasetConfig, split: str, records: Sequence[Record], label_map: Mapping[int, int | str]
    ) -> None:
        if not records:
            raise DatasetError(f"{type(self).__name__}: split {split!r} has no images below {config.root}")
        self.config = config
        self.split = split
        self.records = records
        self.label_map = LabelMap(
            config.label_map if config.label_map is not None else label_map,
            len(config.classes),
            ignore_unknown=config.unknown_labels == "ignore",
        )
        self.cache = open_cache(config.cache)
        self.info = ClassInfo(config.classes, config.palette, self.label_map.inverse)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record, config = self.records[index], self.config
        read = partial(read_image, channels=config.image_channels, apply_exif=config.apply_exif)
        image = self.cached(read, record.image, "image", config.image_channels, config.apply_exif)
        size = (image.shape[0], image.shape[1])
        return Sample(record.name, image, self._mask(record, size), path=record.image, size=size)

    def open(self, index: int) -> Opened:
        """A sample of which a JPEG is not decoded yet, unless the cache keeps whole images."""
        if self.cache is not None or type(self).__getitem__ is not FileDataset.__getitem__:  # read in a way of its own
            sample = self[index]
            return Opened(sample, frame_of(sample))
        record, config = self.records[index], self.config
        image = open_image(record.image, channels=config.image_channels, apply_exif=config.apply_exif)
        mask = self._mask(record, image.size)
        unread = np.empty((0, 0, config.image_channels), np.uint8)
        sample = Sample(record.name, unread, mask, path=record.image, size=image.size)
        return Opened(sample, Frame(image, None if mask is None else Pixels(mask)))

    def _mask(self, record: Record, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The class ids of a sample of this size."""
        mask = None if record.label is None else self.read_mask(record.label)
        if mask is not None and mask.shape != size:
            raise SizeMismatchError(_mismatch(record, size, mask.shape))
        return mask

    def cached(self, read: Callable[[Path], Array], path: Path, *variant: object) -> Array:
        """What ``read`` makes of a file, decoded anew or from the cache; ``variant`` tells one reader from others."""
        return read(path) if self.cache is None else self.cache(partial(read, path), path, *variant)

    def read_mask(self, path: Path) -> NDArray[np.uint8]:
        """The class ids of a label file: (H, W) uint8."""
        return self.label_map(self.cached(read_label, path, "label"), path)


def _mismatch(record: Record, image: tuple[int, ...], mask: tuple[int, ...]) -> str:
    turned = image[::-1] == mask and record.image.suffix.lower() in (".jpg", ".jpeg")
    hint = "; the image's EXIF orientation turns it: if the labels do not, set `apply_exif: false`" if turned else ""
    return (
        f"{record.image}: the image is {image[0]} x {image[1]} (height x width) but its label "
        f"{record.label} is {mask[0]} x {mask[1]}{hint}"
    )


def need(path: Path, config: DatasetConfig, layout: str) -> Path:
    """``path``, if it exists.

    Args:
        path: file or folder that the data set cannot do without.
        config: its options.
        layout: what is expected below the root.

    Raises:
        DatasetError: it is missing; says in one line what, and how to get it.
    """
    config.require_root()
    if path.exists():
        return path
    source = f"; {config.source}" if config.source else ""
    raise DatasetError(f"{path} is missing: below dataset.root={config.root} must be {layout}{source}")


def read_names(path: Path) -> list[str]:
    """The lines of a split file: the first column of each, blank lines left out; zeros in front are kept."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.split()[0].rstrip(",") for line in lines if line.strip()]


def identity_map(num_classes: int, *ignored: int) -> dict[int, int | str]:
    """0 to K - 1 stand for themselves; ``ignored`` values are ignored."""
    table: dict[int, int | str] = {i: i for i in range(num_classes)}
    return table | dict.fromkeys(ignored, "ignore")
