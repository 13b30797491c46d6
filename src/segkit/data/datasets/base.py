"""What all data sets of image files share."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkit.config.component import type_name
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
        label_map: value in the label files -> class id or ``"ignore"``, unless the config has a map of its own; the
            config's facts by default.

    Raises:
        DatasetError: there is no sample.
    """

    def __init__(
        self,
        config: DatasetConfig,
        split: str,
        records: Sequence[Record],
        label_map: Mapping[int, int | str] | None = None,
    ) -> None:
        if not records:
            raise DatasetError(f"{type_name(type(config))}: split {split!r} has no images below {config.root}")
        self.config = config
        self.split = split
        self.records = records
        own = config.own_label_map if label_map is None else label_map
        self.label_map = LabelMap(
            config.label_map if config.label_map is not None else own,
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
        mask = self.mask_of(record)
        if mask is not None and mask.shape != size:
            raise SizeMismatchError(_mismatch(record, size, mask.shape))
        return mask

    def cached(self, read: Callable[[Path], Array], path: Path, *variant: object) -> Array:
        """What ``read`` makes of a file, decoded anew or from the cache; ``variant`` tells one reader from others."""
        return read(path) if self.cache is None else self.cache(partial(read, path), path, *variant)

    def mask(self, index: int) -> NDArray[np.uint8] | None:
        """The class ids of a sample without its image: (H, W) uint8; None if it has no label."""
        return self.mask_of(self.records[index])

    def mask_of(self, record: Record) -> NDArray[np.uint8] | None:
        """The class ids of a sample: (H, W) uint8; None if it has no label."""
        return None if record.label is None else self.read_mask(record.label)

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
