"""Published data sets that are a layout, a label map and a list of classes: those of segkit.config.datasets."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.config import datasets
from segkit.config.datasets import DatasetConfig
from segkit.data.datasets.base import FileDataset
from segkit.data.datasets.files import find_records
from segkit.data.datasets.mat import read_mat
from segkit.registry import DATASETS


@DATASETS.register(datasets.ADE20kDatasetConfig)
@DATASETS.register(datasets.ATRDatasetConfig)
@DATASETS.register(datasets.CIHPDatasetConfig)
@DATASETS.register(datasets.COCOStuff10kDatasetConfig)
@DATASETS.register(datasets.COCOStuffDatasetConfig)
@DATASETS.register(datasets.CamVidDatasetConfig)
@DATASETS.register(datasets.ChaseDB1DatasetConfig)
@DATASETS.register(datasets.CityScapesDatasetConfig)
@DATASETS.register(datasets.DRIVEDatasetConfig)
@DATASETS.register(datasets.DarkZurichDatasetConfig)
@DATASETS.register(datasets.HRFDatasetConfig)
@DATASETS.register(datasets.ISAIDDatasetConfig)
@DATASETS.register(datasets.LIPDatasetConfig)
@DATASETS.register(datasets.LoveDADatasetConfig)
@DATASETS.register(datasets.NighttimeDrivingDatasetConfig)
@DATASETS.register(datasets.PascalContext59DatasetConfig)
@DATASETS.register(datasets.PascalContextDatasetConfig)
@DATASETS.register(datasets.PotsdamDatasetConfig)
@DATASETS.register(datasets.SBUShadowDatasetConfig)
@DATASETS.register(datasets.STAREDatasetConfig)
@DATASETS.register(datasets.SuperviselyDatasetConfig)
@DATASETS.register(datasets.VOCDatasetConfig)
@DATASETS.register(datasets.VaihingenDatasetConfig)
class PublishedDataset(FileDataset):
    """A split of the data set that ``config.facts`` describes."""

    def __init__(self, config: DatasetConfig, split: str) -> None:
        super().__init__(config, split, find_records(config, split))

    def read_mask(self, path: Path) -> NDArray[np.uint8]:
        if path.suffix.lower() == ".mat":
            return self.label_map(self.cached(read_mat, path, "label"), path)
        return super().read_mask(path)
