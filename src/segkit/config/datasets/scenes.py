"""Photographs of all kinds."""

from pathlib import Path
from typing import ClassVar, Literal

from segkit.config.component import component
from segkit.config.datasets.base import DatasetConfig
from segkit.config.datasets.facts import Facts, Layout, Split, Submission, from_one, identity


@component
class ADE20kDatasetConfig(DatasetConfig):
    """150 classes of indoor and outdoor scenes (Zhou et al., 2017), 20210 training and 2000 validation images."""

    type: Literal["ADE20kDataset"] = "ADE20kDataset"
    source: ClassVar[str] = "ADE20K: unpack ADEChallengeData2016.zip (data.csail.mit.edu/places/ADEchallenge) below it"
    facts: ClassVar[Facts] = Facts(
        {
            "train": Split(20210, ("training",)),
            "val": Split(2000, ("validation",)),
            "test": Split(3352, ("testing",), labelled=False),
        },
        (
            Layout(
                "images/{folder}/{id}.jpg",
                ("annotations/{folder}/{id}.png",),
                names="{split}.txt",
                inside=("ADEChallengeData2016", ""),
            ),
        ),
        from_one(150),
    )
    root: Path = Path("data/ADE20k")
    """Folder that holds ``ADEChallengeData2016/``."""


@component
class VOCDatasetConfig(DatasetConfig):
    """20 object classes and background (Everingham et al., 2012), 10582 images with SBD's labels (Hariharan, 2011)."""

    type: Literal["VOCDataset"] = "VOCDataset"
    source: ClassVar[str] = (
        "PASCAL VOC 2012: unpack VOCtrainval_11-May-2012.tar (host.robots.ox.ac.uk/pascal/VOC), take VOCdevkit/VOC2012;"
        " trainaug needs SBD's labels as PNGs, too"
    )
    facts: ClassVar[Facts] = Facts(
        {
            "train": Split(1464),
            "trainaug": Split(10582),
            "val": Split(1449),
            "trainval": Split(2913),
            "test": Split(1456, labelled=False),
        },
        (
            Layout(
                "JPEGImages/{id}.jpg",
                ("SegmentationClass/{id}.png", "SegmentationClassAug/{id}.png"),
                names="ImageSets/Segmentation/{split}.txt",
                inside=("", "VOC2012", "VOCdevkit/VOC2012"),
            ),
        ),
        identity(21, 255),
        Submission("results/VOC2012/Segmentation/comp6_{split}_cls/{name}.png", palette=True),
    )
    root: Path = Path("data/VOCdevkit/VOC2012")
    """Folder that holds ``JPEGImages/`` and ``SegmentationClass/``."""
    train_split: str = "trainaug"
    """Split to train on; ``train`` is the official one, ``trainaug`` adds SBD's labels."""


_CONTEXT = (
    Layout(
        "JPEGImages/{id}.jpg",
        ("SegmentationClassContext/{id}.png",),
        names="ImageSets/SegmentationContext/{split}.txt",
        inside=("", "VOC2010", "VOCdevkit/VOC2010"),
    ),
)
_CONTEXT_SPLITS = {"train": Split(4998), "val": Split(5105)}
_CONTEXT_SOURCE = (
    "PASCAL Context: unpack VOCtrainval_03-May-2010.tar (host.robots.ox.ac.uk/pascal/VOC), take VOCdevkit/VOC2010, and "
    "convert trainval_merged.json to SegmentationClassContext/ and ImageSets/SegmentationContext/"
)


@component
class PascalContextDatasetConfig(DatasetConfig):
    """59 classes of things and stuff, and background (Mottaghi et al., 2014)."""

    type: Literal["PascalContextDataset"] = "PascalContextDataset"
    source: ClassVar[str] = _CONTEXT_SOURCE
    facts: ClassVar[Facts] = Facts(_CONTEXT_SPLITS, _CONTEXT, identity(60, 255))
    root: Path = Path("data/VOCdevkit/VOC2010")
    """Folder that holds ``JPEGImages/`` and ``SegmentationClassContext/``."""


@component
class PascalContext59DatasetConfig(DatasetConfig):
    """59 classes of things and stuff; background is ignored (Mottaghi et al., 2014)."""

    type: Literal["PascalContext59Dataset"] = "PascalContext59Dataset"
    source: ClassVar[str] = _CONTEXT_SOURCE
    facts: ClassVar[Facts] = Facts(_CONTEXT_SPLITS, _CONTEXT, from_one(59, 255))
    root: Path = Path("data/VOCdevkit/VOC2010")
    """Folder that holds ``JPEGImages/`` and ``SegmentationClassContext/``."""


@component
class SBUShadowDatasetConfig(DatasetConfig):
    """Shadow or none (Vicente et al., 2016), 4089 training and 638 test images."""

    type: Literal["SBUShadowDataset"] = "SBUShadowDataset"
    source: ClassVar[str] = (
        "SBU Shadow: unpack SBU-shadow.zip (www3.cs.stonybrook.edu/~cvl/projects/shadow_noisy_label)"
    )
    facts: ClassVar[Facts] = Facts(
        {"train": Split(4089, ("SBUTrain4KRecoveredSmall",)), "val": Split(638, ("SBU-Test",))},
        (
            Layout(
                "{folder}/ShadowImages/{id}.jpg",
                ("{folder}/ShadowMasks/{id}.png",),
                names="{split}.txt",
                inside=("", "SBU-shadow"),
            ),
        ),
        {0: 0, **dict.fromkeys(range(1, 256), 1)},
    )
    root: Path = Path("data/SBUShadow")
    """Folder that holds ``SBUTrain4KRecoveredSmall/`` and ``SBU-Test/``."""


@component
class VSPWDatasetConfig(DatasetConfig):
    """124 classes in videos of all kinds (Miao et al., 2021); an epoch of training visits one frame of each video."""

    type: Literal["VSPWDataset"] = "VSPWDataset"
    source: ClassVar[str] = "VSPW: unpack VSPW_480p (github.com/VSPW-dataset/VSPW-dataset-download) below it"
    facts: ClassVar[Facts] = Facts(
        {"train": Split(198244), "val": Split(24502), "test": Split(28887, labelled=False)},
        (
            Layout(
                "data/{video}/origin/{id}.jpg",
                ("data/{video}/mask/{id}.png",),
                names="{split}.txt",
                inside=("", "VSPW_480p"),
            ),
        ),
        from_one(124, 253, 254, 255),
    )
    root: Path = Path("data/VSPW_480p")
    """Folder that holds ``data/`` and the lists of videos, ``train.txt``, ``val.txt`` and ``test.txt``."""
