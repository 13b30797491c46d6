"""Data sets: where the files are, what their labels mean, and how samples are transformed."""

from typing import Annotated

from segkit.config.component import Choice
from segkit.config.datasets.base import DatasetConfig, known_classes, voc_color
from segkit.config.datasets.driving import CamVidDatasetConfig, CityScapesDatasetConfig
from segkit.config.datasets.folder import FolderDatasetConfig, SplitConfig
from segkit.config.datasets.scenes import ADE20kDatasetConfig, VOCDatasetConfig
from segkit.config.datasets.shapes import ShapesConfig

Dataset = Annotated[DatasetConfig, Choice("dataset")]

__all__ = [
    "ADE20kDatasetConfig",
    "CamVidDatasetConfig",
    "CityScapesDatasetConfig",
    "Dataset",
    "DatasetConfig",
    "FolderDatasetConfig",
    "ShapesConfig",
    "SplitConfig",
    "VOCDatasetConfig",
    "known_classes",
    "voc_color",
]
