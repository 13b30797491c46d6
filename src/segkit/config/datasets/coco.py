"""COCO's photographs with three kinds of labels."""

from pathlib import Path
from typing import ClassVar, Literal

from segkit.config.component import component
from segkit.config.datasets.base import Color, DatasetConfig
from segkit.config.datasets.facts import Facts, LabelTable, Layout, Split, from_one, identity

_UNUSED = frozenset(
    ("street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door", "blender", "hair brush")
)


@component
class COCOStuffFamilyConfig(DatasetConfig):
    """91 things and 91 stuffs."""

    leave_out_unused: bool = False
    """Leave out the 11 classes that no label shows: 171 remain, as MMSegmentation counts them."""

    @property
    def classes(self) -> tuple[str, ...]:
        names = super().classes
        return tuple(names[i] for i in self._kept)

    @property
    def palette(self) -> tuple[Color, ...]:
        colors = super().palette
        return tuple(colors[i] for i in self._kept)

    @property
    def own_label_map(self) -> LabelTable:
        new = {old: i for i, old in enumerate(self._kept)}
        table = super().own_label_map
        return {value: "ignore" if old == "ignore" else new.get(old, "ignore") for value, old in table.items()}

    @property
    def _kept(self) -> list[int]:
        names = super().classes
        return [i for i, name in enumerate(names) if not (self.leave_out_unused and name in _UNUSED)]


@component
class COCOStuffDatasetConfig(COCOStuffFamilyConfig):
    """COCO-Stuff on all of COCO 2017 (Caesar et al., 2018), 118287 training and 5000 validation images."""

    type: Literal["COCOStuffDataset"] = "COCOStuffDataset"
    source: ClassVar[str] = (
        "COCO-Stuff: unpack train2017.zip, val2017.zip (cocodataset.org) and stuffthingmaps_trainval2017.zip "
        "(github.com/nightrome/cocostuff) below it"
    )
    # The maps hold category id - 1, and 255 where nothing is labelled.
    facts: ClassVar[Facts] = Facts(
        {"train": Split(118287), "val": Split(5000)},
        (Layout("{split}2017/{id}.jpg", ("{split}2017/{id}.png", "stuffthingmaps/{split}2017/{id}.png")),),
        identity(182, 255),
    )
    root: Path = Path("data/COCO")
    """Folder that holds ``train2017/`` and ``val2017/``, label PNGs beside the images or in ``stuffthingmaps/``."""


@component
class COCOStuff10kDatasetConfig(COCOStuffFamilyConfig):
    """COCO-Stuff's first 10000 images (Caesar et al., 2018), 9000 to train on and 1000 to test."""

    type: Literal["COCOStuff10kDataset"] = "COCOStuff10kDataset"
    source: ClassVar[str] = "COCO-Stuff 10k: unpack cocostuff-10k-v1.1.zip (github.com/nightrome/cocostuff10k) below it"
    facts: ClassVar[Facts] = Facts(
        {"train": Split(9000), "test": Split(1000)},
        (Layout("images/{id}.jpg", ("annotations/{id}.mat", "annotations/{id}.png"), names="imageLists/{split}.txt"),),
        from_one(182, 255),
    )
    root: Path = Path("data/COCOStuff10k")
    """Folder that holds ``images/``, ``annotations/`` and ``imageLists/``."""
    val_split: str = "test"
    """Split to evaluate on."""


@component
class COCOVOCSUBDatasetConfig(DatasetConfig):
    """COCO's instances of PASCAL VOC's 20 classes, and background (Lin et al., 2014).

    The first instance to claim a pixel has it; images with at most 1000 labelled pixels are left out.
    """

    type: Literal["COCOVOCSUBDataset"] = "COCOVOCSUBDataset"
    source: ClassVar[str] = (
        "COCO: unpack train2017.zip, val2017.zip and annotations_trainval2017.zip (cocodataset.org) below it"
    )
    facts: ClassVar[Facts] = Facts(
        {"train": Split(), "val": Split()},
        (Layout("{split}2017/{id}.jpg", (), names="annotations/instances_{split}2017.json"),),
        identity(21),
    )
    categories: ClassVar[tuple[int, ...]] = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
    """COCO's category of each class; 0 is none."""
    root: Path = Path("data/COCO")
    """Folder that holds ``train2017/``, ``val2017/`` and ``annotations/``."""
