"""What the configs of all data sets share."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from segkit.config.batch_transforms import BatchTransforms
from segkit.config.cache import CacheConfig
from segkit.config.component import component, type_name
from segkit.config.datasets.facts import Facts, LabelTable, mirrored_pairs
from segkit.config.transforms import Transforms
from segkit.errors import DatasetError, Problem

Label = Annotated[int, Field(ge=0, le=65535)]
Color = tuple[int, int, int]


@component
class DatasetConfig:
    """Labelled images in splits."""

    group: ClassVar[str] = "dataset"
    source: ClassVar[str] = ""
    """How to get the data and how it lies below the root, in one line; "" for data that is made, not read."""
    facts: ClassVar[Facts | None] = None
    """Splits, layout, label values and submission format of a published data set."""

    root: Path = Path("data")
    """Folder that holds the data."""
    train_split: str = "train"
    """Split to train on."""
    val_split: str = "val"
    """Split to evaluate on."""
    repeat_times: PositiveInt = 1
    """How often an epoch visits each training image."""
    num_classes: PositiveInt | None = None
    """Derived from the classes; if given, it is checked."""
    label_map: dict[Label, NonNegativeInt | Literal["ignore"]] | None = None
    """Value in the label files -> class id or ignore, in place of the data set's own map."""
    unknown_labels: Literal["error", "ignore"] = "error"
    """What to do with label values that are neither a class nor ignored."""
    apply_exif: bool = True
    """Turn images as their EXIF orientation says, like viewers and labelling tools; labels are taken as stored."""
    on_error: Literal["raise", "skip"] = "raise"
    """A file that is missing or unreadable: stop, or go on without it and report it."""
    reduce_jpegs: bool = True
    """In training, decode JPEGs at 1/2, 1/4 or 1/8 where the first step shrinks them as much: faster, and smoother."""
    cache: CacheConfig = CacheConfig()
    """Keeps decoded files."""
    train_transforms: Transforms = Field(default_factory=dict)
    """Steps for training, by any name, in order."""
    batch_transforms: BatchTransforms = Field(default_factory=dict)
    """Steps on whole training batches after that, on the device: images mixed in pairs; by any name, in order."""
    val_transforms: Transforms = Field(default_factory=dict)
    """Steps for evaluation and prediction, by any name, in order; the labels keep their size."""

    @property
    def image_channels(self) -> int:
        """Channels of the images; three are RGB."""
        return 3

    def require_root(self) -> None:
        """Says what is missing and how to get it.

        Raises:
            DatasetError: if the data is read from files and there is no root folder.
        """
        if self.source and not self.root.is_dir():
            name = type_name(type(self))
            way = f" (`segkit-data prepare {name} --root FOLDER` does it)" if self.facts is not None else ""
            raise DatasetError(f"dataset.root: no folder {self.root}; {self.source}{way}; then set dataset.root=FOLDER")

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the options beyond their types, at paths below the config."""
        yield from ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the position is the class id."""
        return known_classes(type_name(type(self)))[0]

    @property
    def palette(self) -> tuple[Color, ...]:
        """RGB colour of each class."""
        return known_classes(type_name(type(self)))[1]

    @property
    def own_label_map(self) -> LabelTable:
        """What the values of the label files mean, unless ``label_map`` says it otherwise."""
        return self.facts.label_map if self.facts else {}

    @property
    def flip_pairs(self) -> tuple[tuple[int, int], ...]:
        """Classes that a mirrored image exchanges, such as left arm and right arm."""
        return mirrored_pairs(self.classes)


@cache
def known_classes(name: str) -> tuple[tuple[str, ...], tuple[Color, ...]]:
    """Class names and palette of a published data set, from ``classes.json``; without colours there, VOC's."""
    rows = json.loads(files("segkit.config.datasets").joinpath("classes.json").read_text(encoding="utf-8"))
    row = rows[rows[name].get("same_as", name)]
    names = tuple(row["classes"])
    colors = tuple((red, green, blue) for red, green, blue in row.get("palette", ()))
    return names, colors or tuple(voc_color(i) for i in range(len(names)))


def voc_color(index: int) -> Color:
    """The colour that PASCAL VOC gives a class id: its bits, dealt out over the channels from the top."""
    color = [0, 0, 0]
    for shift in range(8):
        for channel in range(3):
            color[channel] |= ((index >> (3 * shift + channel)) & 1) << (7 - shift)
    return color[0], color[1], color[2]
