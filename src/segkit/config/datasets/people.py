"""People: parts of their bodies and clothes, or the people themselves."""

from pathlib import Path
from typing import ClassVar, Literal

from segkit.config.component import component
from segkit.config.datasets.base import DatasetConfig
from segkit.config.datasets.facts import Facts, Layout, Split, identity


@component
class CIHPDatasetConfig(DatasetConfig):
    """19 parts of several people, and background (Gong et al., 2018), 28280 training and 5000 validation images."""

    type: Literal["CIHPDataset"] = "CIHPDataset"
    source: ClassVar[str] = "CIHP: unpack instance-level_human_parsing.zip (sysu-hcp.net/lip), lay it out so"
    facts: ClassVar[Facts] = Facts(
        {
            "train": Split(28280, ("Training",)),
            "val": Split(5000, ("Validation",)),
            "test": Split(5000, ("Testing",), labelled=False),
        },
        (
            Layout(
                "{folder}/Images/{id}.jpg",
                ("{folder}/Category_ids/{id}.png",),
                names="{folder}/{split}_id.txt",
                id_width=7,
            ),
        ),
        identity(20, 255),
    )
    root: Path = Path("data/CIHP")
    """Folder that holds ``Training/``, ``Validation/`` and ``Testing/``."""


@component
class LIPDatasetConfig(DatasetConfig):
    """19 parts of single people, and background (Gong et al., 2017), 30462 training and 10000 validation images."""

    type: Literal["LIPDataset"] = "LIPDataset"
    source: ClassVar[str] = "LIP: unpack TrainVal_images.zip and TrainVal_parsing_annotations.zip (sysu-hcp.net/lip)"
    facts: ClassVar[Facts] = Facts(
        {
            "train": Split(30462),
            "val": Split(10000),
            "test": Split(10000, ("testing",), labelled=False),
        },
        (Layout("{folder}_images/{id}.jpg", ("{folder}_segmentations/{id}.png",), names="{split}_id.txt"),),
        identity(20, 255),
    )
    root: Path = Path("data/LIP")
    """Folder that holds ``train_images/``, ``train_segmentations/``, ``train_id.txt`` and so on."""


@component
class ATRDatasetConfig(DatasetConfig):
    """17 parts of single people, and background (Liang et al., 2015), 16000 training and 700 validation images."""

    type: Literal["ATRDataset"] = "ATRDataset"
    source: ClassVar[str] = "ATR: fetch the human parsing data of github.com/lemondan/HumanParsing-Dataset"
    facts: ClassVar[Facts] = Facts(
        {"train": Split(16000), "val": Split(700), "test": Split(1000)},
        (Layout("JPEGImages/{id}.jpg", ("SegmentationClassAug/{id}.png",), names="{split}_id.txt"),),
        identity(18, 255),
    )
    root: Path = Path("data/ATR")
    """Folder that holds ``JPEGImages/``, ``SegmentationClassAug/``, ``train_id.txt`` and ``val_id.txt``."""


@component
class MHPv1DatasetConfig(DatasetConfig):
    """18 parts of several people, and background (Li et al., 2017), 3000 training and 1000 validation images."""

    type: Literal["MHPv1Dataset"] = "MHPv1Dataset"
    source: ClassVar[str] = "MHP v1: unpack LV-MHP-v1.zip (lv-mhp.github.io/dataset)"
    facts: ClassVar[Facts] = Facts(
        {"train": Split(3000), "val": Split(1000), "test": Split(980)},
        (Layout("images/{id}.jpg", ("annotations/{id}_*.png",), names="{split}_list.txt", inside=("", "LV-MHP-v1")),),
        identity(19, 255),
    )
    root: Path = Path("data/LV-MHP-v1")
    """Folder that holds ``images/``, ``annotations/`` with a file for each person, and ``train_list.txt``."""


@component
class MHPv2DatasetConfig(DatasetConfig):
    """58 parts of several people, and background (Zhao et al., 2018), 15403 training and 5000 validation images."""

    type: Literal["MHPv2Dataset"] = "MHPv2Dataset"
    source: ClassVar[str] = "MHP v2: unpack LV-MHP-v2.zip (lv-mhp.github.io/dataset)"
    facts: ClassVar[Facts] = Facts(
        {"train": Split(15403), "val": Split(5000), "test": Split(5000, labelled=False)},
        (
            Layout(
                "{split}/images/{id}.jpg",
                ("{split}/parsing_annos/{id}_*.png",),
                names="list/{split}.txt",
                inside=("", "LV-MHP-v2"),
            ),
        ),
        identity(59, 255),
    )
    root: Path = Path("data/LV-MHP-v2")
    """Folder that holds ``train/``, ``val/`` and ``list/``; a label file for each person."""


@component
class SuperviselyDatasetConfig(DatasetConfig):
    """Person or background (Supervisely, 2018); lists say which of the 5711 images are whose."""

    type: Literal["SuperviselyDataset"] = "SuperviselyDataset"
    source: ClassVar[str] = "Supervisely Person: fetch it from github.com/supervisely-ecosystem/persons, lay it out so"
    facts: ClassVar[Facts] = Facts(
        {"train": Split(), "val": Split()},
        (Layout("Images/{split}/{id}.jpg", ("Anno-Person/{split}/{id}.png",), names="{split}.txt"),),
        {0: 0, 1: 1, 255: 1},
    )
    root: Path = Path("data/Supervisely")
    """Folder that holds ``Images/`` and ``Anno-Person/``."""
