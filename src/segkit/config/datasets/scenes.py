"""Photographs of all kinds."""

from pathlib import Path
from typing import ClassVar, Literal

from segkit.config.component import component
from segkit.config.datasets.base import DatasetConfig


@component
class ADE20kDatasetConfig(DatasetConfig):
    """150 classes of indoor and outdoor scenes (Zhou et al., 2017), 20210 training and 2000 validation images."""

    type: Literal["ADE20kDataset"] = "ADE20kDataset"
    source: ClassVar[str] = "ADE20K: unpack ADEChallengeData2016.zip (data.csail.mit.edu/places/ADEchallenge) below it"
    root: Path = Path("data/ADE20k")
    """Folder that holds ``ADEChallengeData2016/``."""


@component
class VOCDatasetConfig(DatasetConfig):
    """20 object classes and background (Everingham et al., 2012)."""

    type: Literal["VOCDataset"] = "VOCDataset"
    source: ClassVar[str] = (
        "PASCAL VOC 2012: unpack VOCtrainval_11-May-2012.tar (host.robots.ox.ac.uk/pascal/VOC), take VOCdevkit/VOC2012"
    )
    root: Path = Path("data/VOCdevkit/VOC2012")
    """Folder that holds ``JPEGImages/`` and ``SegmentationClass/``."""
    train_split: str = "trainaug"
    """Split to train on; ``train`` is the official one, ``trainaug`` adds SBD's labels."""
