"""Several data sets as one."""

from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from segkit.config.datasets import MultipleDatasetConfig
from segkit.data.orders import Mixed, Order, Repeated, order_of
from segkit.data.transforms.base import Frame, Opened, Opens, frame_of
from segkit.data.views import Pixels
from segkit.errors import DatasetError
from segkit.registry import DATASETS
from segkit.types import IGNORE_INDEX, ClassInfo, Dataset, Sample


@DATASETS.register(MultipleDatasetConfig)
class MultipleDataset:
    """Samples of several data sets, one after the other, with the classes of the mixture.

    The training split takes every source's own training split. The validation split joins those of
    ``config.evaluate_on``, or of all; a source's name as a split is its validation split alone.
    """

    def __init__(self, config: MultipleDatasetConfig, split: str) -> None:
        config.require_fit()
        self.config = config
        self.split = split
        self.names = _sources_of(config, split)
        self.parts: list[Dataset] = []
        for name in self.names:
            own = config.sources[name].dataset
            self.parts.append(DATASETS.build(own, own.train_split if split == config.train_split else own.val_split))
        self._starts = [0, *accumulate(len(part) for part in self.parts)]
        self._tables = [_table(config, name) for name in self.names]
        self.info = ClassInfo(config.classes, config.palette, {i: i for i in range(len(config.classes))})

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Sample:
        at, inside = self._find(index)
        return self._joint(at, self.parts[at][inside])

    def open(self, index: int) -> Opened:
        """A sample that is not decoded yet, where its source can wait."""
        at, inside = self._find(index)
        part = self.parts[at]
        if not isinstance(part, Opens):
            sample = self[index]
            return Opened(sample, frame_of(sample))
        opened = part.open(inside)
        sample = self._joint(at, opened.sample)
        return Opened(sample, Frame(opened.frame.image, None if sample.mask is None else Pixels(sample.mask)))

    def _find(self, index: int) -> tuple[int, int]:
        """The source of a sample, and its place there."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        at = int(np.searchsorted(self._starts, index, side="right")) - 1
        return at, index - self._starts[at]

    def _joint(self, at: int, sample: Sample) -> Sample:
        """A source's sample in the mixture's classes and names."""
        mask = None if sample.mask is None else self._tables[at][sample.mask]
        return replace(sample, name=f"{self.names[at]}/{sample.name}", mask=mask)

    def order(self) -> Order:
        sources = [self.config.sources[name] for name in self.names]
        orders = [
            Repeated(order_of(part), source.dataset.repeat_times)
            for part, source in zip(self.parts, sources, strict=True)
        ]
        shares = [source.share for source in sources if source.share is not None]
        return Mixed(orders, self._starts[:-1], shares or None)


def _sources_of(config: MultipleDatasetConfig, split: str) -> tuple[str, ...]:
    if split == config.train_split:
        return tuple(config.sources)
    if split == config.val_split:
        return config.evaluate_on or tuple(config.sources)
    if split in config.sources:
        return (split,)
    known = ", ".join((config.train_split, config.val_split, *config.sources))
    raise DatasetError(f"MultipleDataset: no split {split!r}; it has {known}")


def _table(config: MultipleDatasetConfig, name: str) -> Any:
    """(256,) uint8: class id of a source -> class id of the mixture, or ignored."""
    table = np.full(256, IGNORE_INDEX, np.uint8)
    for own, target in enumerate(config.targets(name)):
        table[own] = target if isinstance(target, int) else IGNORE_INDEX
    return table
