"""Pixels of each class in each label of a split, read by all processes together."""

import logging
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from segkit import dist
from segkit.errors import DatasetError
from segkit.types import Dataset

logger = logging.getLogger(__name__)

_THREADS = 4


@runtime_checkable
class HasMasks(Protocol):
    """A data set whose labels can be read without their images."""

    def mask(self, index: int) -> NDArray[np.uint8] | None: ...


def count_classes(dataset: Dataset, *, skip_errors: bool = False) -> NDArray[np.int64]:
    """Pixels of each class in each label.

    Args:
        dataset: the split.
        skip_errors: an unreadable label counts as one without pixels.

    Returns:
        (N, K), the same in every process; K is 2 for a single class, absent and present.

    Raises:
        DatasetError: a label is missing or wrong, or none shows a class.
    """
    began = time.perf_counter()
    classes = max(len(dataset.info.names), 2)
    mine = range(dist.rank(), len(dataset), dist.world_size())
    with ThreadPoolExecutor(_THREADS) as pool:  # decoding leaves Python's lock
        rows = list(pool.map(lambda index: _count(dataset, index, classes, skip_errors), mine))
    pixels = np.zeros((len(dataset), classes), np.int64)
    for rank, part in enumerate(dist.gather_objects(_plain(rows))):
        for number, row in enumerate(part):
            pixels[rank + number * dist.world_size()] = row
    if not pixels.any():
        raise DatasetError(f"no class occurs in {len(dataset)} training labels; dataloader.class_balance needs some")
    logger.info("counted the classes of %d labels in %.1f s", len(dataset), time.perf_counter() - began)
    return pixels


def _count(dataset: Dataset, index: int, classes: int, skip_errors: bool) -> NDArray[np.int64]:
    try:
        mask = dataset.mask(index) if isinstance(dataset, HasMasks) else dataset[index].mask
    except DatasetError:
        if not skip_errors:
            raise
        mask = None
    return np.zeros(classes, np.int64) if mask is None else np.bincount(mask.ravel(), minlength=256)[:classes]


def _plain(rows: Iterable[NDArray[np.int64]]) -> list[list[int]]:
    return [row.tolist() for row in rows]
