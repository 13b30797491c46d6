"""Data sets of your own."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from segkit.config.component import component
from segkit.config.datasets.base import DatasetConfig, voc_color


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
