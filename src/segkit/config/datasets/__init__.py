"""Data sets: where the files are, what their labels mean, and how samples are transformed."""

from typing import Annotated

from segkit.config.component import Choice
from segkit.config.datasets.aerial import (
    ISAIDDatasetConfig,
    LoveDADatasetConfig,
    PotsdamDatasetConfig,
    VaihingenDatasetConfig,
)
from segkit.config.datasets.base import DatasetConfig, known_classes, voc_color
from segkit.config.datasets.coco import (
    COCOStuff10kDatasetConfig,
    COCOStuffDatasetConfig,
    COCOVOCSUBDatasetConfig,
)
from segkit.config.datasets.driving import (
    CamVidDatasetConfig,
    CityScapesDatasetConfig,
    DarkZurichDatasetConfig,
    NighttimeDrivingDatasetConfig,
)
from segkit.config.datasets.facts import Facts, LabelTable, Layout, Split, Submission
from segkit.config.datasets.folder import FolderDatasetConfig, SplitConfig
from segkit.config.datasets.multiple import MultipleDatasetConfig, SourceConfig
from segkit.config.datasets.people import (
    ATRDatasetConfig,
    CIHPDatasetConfig,
    LIPDatasetConfig,
    MHPv1DatasetConfig,
    MHPv2DatasetConfig,
    SuperviselyDatasetConfig,
)
from segkit.config.datasets.retina import (
    ChaseDB1DatasetConfig,
    DRIVEDatasetConfig,
    HRFDatasetConfig,
    STAREDatasetConfig,
)
from segkit.config.datasets.scenes import (
    ADE20kDatasetConfig,
    PascalContext59DatasetConfig,
    PascalContextDatasetConfig,
    SBUShadowDatasetConfig,
    VOCDatasetConfig,
    VSPWDatasetConfig,
)
from segkit.config.datasets.shapes import ShapesConfig

Dataset = Annotated[DatasetConfig, Choice("dataset")]

__all__ = [
    "ADE20kDatasetConfig",
    "ATRDatasetConfig",
    "CIHPDatasetConfig",
    "COCOStuff10kDatasetConfig",
    "COCOStuffDatasetConfig",
    "COCOVOCSUBDatasetConfig",
    "CamVidDatasetConfig",
    "ChaseDB1DatasetConfig",
    "CityScapesDatasetConfig",
    "DRIVEDatasetConfig",
    "DarkZurichDatasetConfig",
    "Dataset",
    "DatasetConfig",
    "Facts",
    "FolderDatasetConfig",
    "HRFDatasetConfig",
    "ISAIDDatasetConfig",
    "LIPDatasetConfig",
    "LabelTable",
    "Layout",
    "LoveDADatasetConfig",
    "MHPv1DatasetConfig",
    "MHPv2DatasetConfig",
    "MultipleDatasetConfig",
    "NighttimeDrivingDatasetConfig",
    "PascalContext59DatasetConfig",
    "PascalContextDatasetConfig",
    "PotsdamDatasetConfig",
    "SBUShadowDatasetConfig",
    "STAREDatasetConfig",
    "ShapesConfig",
    "SourceConfig",
    "Split",
    "SplitConfig",
    "Submission",
    "SuperviselyDatasetConfig",
    "VOCDatasetConfig",
    "VSPWDatasetConfig",
    "VaihingenDatasetConfig",
    "known_classes",
    "voc_color",
]
