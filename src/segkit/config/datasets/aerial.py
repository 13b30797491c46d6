"""Land, seen from above."""

from pathlib import Path
from typing import ClassVar, Literal

from segkit.config.component import component
from segkit.config.datasets.base import DatasetConfig
from segkit.config.datasets.facts import Facts, Layout, Split, Submission, from_one, identity

_TILES = Layout("img_dir/{split}/{id}.png", ("ann_dir/{split}/{id}.png",))


@component
class LoveDADatasetConfig(DatasetConfig):
    """7 classes of urban and rural land (Wang et al., 2021), 2522 training and 1669 validation images."""

    type: Literal["LoveDADataset"] = "LoveDADataset"
    source: ClassVar[str] = "LoveDA: unpack Train.zip, Val.zip and Test.zip (zenodo.org/records/5706578) below it"
    facts: ClassVar[Facts] = Facts(
        {
            "train": Split(2522, ("Train",)),
            "val": Split(1669, ("Val",)),
            "test": Split(1796, ("Test",), labelled=False),
        },
        (_TILES, Layout("{folder}/*/images_png/{id}.png", ("{folder}/*/masks_png/{id}.png",))),
        from_one(7, 255),
        Submission(values="classes"),
    )
    root: Path = Path("data/loveDA")
    """Folder that holds ``img_dir/`` and ``ann_dir/``, or ``Train/``, ``Val/`` and ``Test/`` as unpacked."""


@component
class PotsdamDatasetConfig(DatasetConfig):
    """6 classes of a town (ISPRS, 2014), 3456 training and 2016 validation tiles of 512 x 512."""

    type: Literal["PotsdamDataset"] = "PotsdamDataset"
    source: ClassVar[str] = (
        "Potsdam: cut 2_Ortho_RGB.zip and 5_Labels_all_noBoundary.zip (isprs.org) into tiles below it"
    )
    facts: ClassVar[Facts] = Facts({"train": Split(3456), "val": Split(2016)}, (_TILES,), from_one(6, 255))
    root: Path = Path("data/potsdam")
    """Folder that holds ``img_dir/`` and ``ann_dir/``."""


@component
class VaihingenDatasetConfig(DatasetConfig):
    """6 classes of a village (ISPRS, 2014), 344 training and 398 validation tiles of 512 x 512."""

    type: Literal["VaihingenDataset"] = "VaihingenDataset"
    source: ClassVar[str] = (
        "Vaihingen: cut ISPRS_semantic_labeling_Vaihingen.zip and its ground_truth_eroded_COMPLETE.zip (isprs.org) "
        "into tiles below it"
    )
    facts: ClassVar[Facts] = Facts({"train": Split(344), "val": Split(398)}, (_TILES,), from_one(6, 255))
    root: Path = Path("data/vaihingen")
    """Folder that holds ``img_dir/`` and ``ann_dir/``."""


@component
class ISAIDDatasetConfig(DatasetConfig):
    """15 objects and background (Waqas Zamir et al., 2019), 33978 training and 11644 validation tiles of 896 x 896."""

    type: Literal["iSAIDDataset"] = "iSAIDDataset"
    source: ClassVar[str] = "iSAID: cut the images of DOTA and iSAID's masks (captain-whu.github.io/iSAID) into tiles"
    facts: ClassVar[Facts] = Facts(
        {"train": Split(33978), "val": Split(11644), "test": Split(937, labelled=False)},
        (Layout("img_dir/{split}/{id}.png", ("ann_dir/{split}/{id}_instance_color_RGB.png",)),),
        identity(16, 255),
    )
    root: Path = Path("data/iSAID")
    """Folder that holds ``img_dir/`` and ``ann_dir/``."""
