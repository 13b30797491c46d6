"""VSPW (Miao et al., 2021): frames of videos."""

import numpy as np

from segkit.config.datasets import VSPWDatasetConfig
from segkit.data.datasets.base import FileDataset, Record
from segkit.data.datasets.files import Place, find_place, read_names, records_at
from segkit.data.datasets.missing import stop_or_tell
from segkit.data.orders import OneOfEach, Order
from segkit.errors import DatasetError, some_of
from segkit.registry import DATASETS


@DATASETS.register(VSPWDatasetConfig)
class VSPWDataset(FileDataset):
    """All frames of the videos that ``<split>.txt`` lists; an epoch of training visits one of each video."""

    def __init__(self, config: VSPWDatasetConfig, split: str) -> None:
        place = find_place(config, split)
        if place.names is None or not place.names.is_file():
            raise DatasetError(f"{place.names} is missing: it lists the videos of split {split!r}; {config.source}")
        videos = {name: _records(config, place, name) for name in dict.fromkeys(read_names(place.names))}
        empty = [name for name, frames in videos.items() if not frames]
        if empty:
            text = f"{len(empty)} of {len(videos)} videos that {place.names} names have no frames in {place.root}/data"
            stop_or_tell(config, f"{text}: {some_of(empty)}", empty)
        super().__init__(config, split, [record for frames in videos.values() for record in frames])
        ends = np.cumsum([len(frames) for frames in videos.values()])
        self._videos = [group for group in np.split(np.arange(len(self), dtype=np.int64), ends[:-1]) if len(group)]

    def order(self) -> Order:
        return OneOfEach(self._videos)


def _records(config: VSPWDatasetConfig, place: Place, video: str) -> list[Record]:
    layout = place.layout
    own = layout._replace(
        images=layout.images.replace("{video}", video),
        labels=tuple(pattern.replace("{video}", video) for pattern in layout.labels),
        names="",
    )
    if not (place.root / own.images).parent.is_dir():
        return []
    records = records_at(config, place._replace(layout=own))
    return [record._replace(name=f"{video}/{record.name}") for record in records]
