"""Multi-Human Parsing (Li et al., 2017; Zhao et al., 2018): a label file for each person of an image."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.config.datasets import MHPv1DatasetConfig, MHPv2DatasetConfig
from segkit.data.datasets.base import FileDataset
from segkit.data.datasets.files import find_files, find_place, find_records
from segkit.data.io import Array, read_color_label, read_label
from segkit.errors import DatasetError
from segkit.registry import DATASETS
from segkit.types import IGNORE_INDEX


@DATASETS.register(MHPv1DatasetConfig)
@DATASETS.register(MHPv2DatasetConfig)
class MHPDataset(FileDataset):
    """People pasted over one another in the order of their files' names; 0 is background and covers nobody."""

    def __init__(self, config: MHPv1DatasetConfig | MHPv2DatasetConfig, split: str) -> None:
        super().__init__(config, split, find_records(config, split))
        place = find_place(config, split)
        self._people = {paths[0]: paths for paths in find_files(place, place.layout.labels).values()}

    def read_mask(self, path: Path) -> NDArray[np.uint8]:
        paths = self._people[path]
        merged = self._person(path)
        for other in paths[1:]:
            person = self._person(other)
            if person.shape != merged.shape:
                raise DatasetError(f"{other}: is {person.shape} large, but {path} of the same image {merged.shape}")
            merged = np.where((person != 0) & (person != IGNORE_INDEX), person, merged)
        return merged

    def _person(self, path: Path) -> NDArray[np.uint8]:
        return self.label_map(self.cached(_read_person, path, "person"), path)


def _read_person(path: Path) -> Array:
    """The label values of a file; MHP v2 has them in the red channel of colour files."""
    color = read_color_label(path)
    red, rest = color[:, :, 0], color[:, :, 1:]
    return np.ascontiguousarray(red) if red.any() and not rest.any() else read_label(path)
