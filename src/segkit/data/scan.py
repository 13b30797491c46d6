"""A look through a sample of the labels before the first step, where mistakes are still cheap."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.data.labels import LabelMap, UnknownLabelError
from segkit.errors import DatasetError
from segkit.types import IGNORE_INDEX, Dataset

_SHOWN = 8


@dataclass(frozen=True)
class ScanReport:
    """What a look through the labels found.

    Attributes:
        samples: how many were read.
        counts: (K,) pixels of each class; two entries, absent and present, for a single class.
        ignored: pixels that do not count.
        errors: mistakes that would spoil the training, each with its remedy.
        warnings: what may be as it should.
    """

    samples: int
    counts: NDArray[np.int64]
    ignored: int
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    def require_clean(self) -> None:
        """Stops on errors.

        Raises:
            DatasetError: one line for each.
        """
        if self.errors:
            raise DatasetError("\n".join(self.errors))


class _Findings:
    """What adds up while samples are read."""

    def __init__(self, num_classes: int) -> None:
        self.histogram = np.zeros(256, np.int64)
        self.ids = max(num_classes, 2)
        self.read = 0
        self.broken: list[str] = []
        self.unlabelled = 0
        self.all_ignored: list[str] = []
        self.unknown: Counter[int] = Counter()
        self.unknown_in: list[str] = []

    def add(self, dataset: Dataset, index: int) -> None:
        try:
            sample = dataset[index]
        except UnknownLabelError as error:
            self.unknown.update(error.counts)
            self.unknown_in.append(str(error))
            return
        except DatasetError as error:
            self.broken.append(str(error))
            return
        self.read += 1
        if sample.mask is None:
            self.unlabelled += 1
            return
        counts = np.bincount(sample.mask.ravel(), minlength=256)
        self.histogram += counts
        if counts[IGNORE_INDEX] == sample.mask.size:
            self.all_ignored.append(sample.name)


def scan_labels(dataset: Dataset, n: int, *, skip_errors: bool = False) -> ScanReport:
    """Reads ``n`` samples, evenly spread over the split, and tells what is wrong with their labels.

    Args:
        dataset: the split.
        n: how many to read, at most; 0 reads none.
        skip_errors: unreadable files are warnings, since the loader will replace them.
    """
    indices = np.unique(np.linspace(0, len(dataset) - 1, min(n, len(dataset))).astype(int))
    found = _Findings(len(dataset.info.names))
    for index in indices.tolist():
        found.add(dataset, index)
    total = len(indices)
    errors = [] if skip_errors else [*found.broken]
    warnings = [*found.broken] if skip_errors else []
    errors += _unknown(found, total, getattr(dataset, "label_map", None))
    errors += _never_labelled(found, dataset)
    if found.unlabelled:
        errors.append(f"{found.unlabelled} of {total} samples have no label file; training needs one for each")
    if found.all_ignored and len(found.all_ignored) < found.read:
        warnings.append(f"all pixels are ignored in {len(found.all_ignored)} of {total}: {_some(found.all_ignored)}")
    warnings += _unseen(found, dataset.info.names) if found.read and not errors else []
    counts = found.histogram[: found.ids]
    return ScanReport(found.read, counts, int(found.histogram[IGNORE_INDEX]), tuple(errors), tuple(warnings))


def _unknown(found: _Findings, total: int, label_map: LabelMap | None) -> list[str]:
    if not found.unknown:
        return []
    first = found.unknown_in[0]
    if len(found.unknown_in) == 1 or label_map is None:
        return [first]
    merged = label_map.describe(dict(sorted(found.unknown.items())), two_values=set(found.unknown) == {255})
    return [f"in {len(found.unknown_in)} of {total} labels, first in {first.split(': ')[0]}: {merged}"]


def _never_labelled(found: _Findings, dataset: Dataset) -> list[str]:
    """Labels that are all ignored, as 0/255 masks of two classes are where 255 means ignore."""
    counts, ignored = found.histogram[: found.ids], found.histogram[IGNORE_INDEX]
    if found.all_ignored and len(found.all_ignored) == found.read:
        return [f"every pixel is ignored in all {found.read} labels read; check `label_map` ({_map_of(dataset)})"]
    own_map = getattr(getattr(dataset, "config", None), "label_map", None)
    if found.ids == 2 and own_map is None and ignored and counts[0] and not counts[1]:
        return [
            f"no pixel of class 1 in {found.read} labels, but {ignored} ignored ones: masks of 0 and 255 need "
            "`label_map: {0: 0, 255: 1}`; if all is well, state `label_map: {0: 0, 1: 1, 255: ignore}`"
        ]
    return []


def _map_of(dataset: Dataset) -> str:
    label_map = getattr(dataset, "label_map", None)
    table: Mapping[int, int | str] = label_map.table if isinstance(label_map, LabelMap) else {}
    return ", ".join(f"{k}: {v}" for k, v in list(table.items())[:_SHOWN])


def _unseen(found: _Findings, names: Sequence[str]) -> list[str]:
    counts = found.histogram[: found.ids] if len(names) > 1 else found.histogram[1:2]
    unseen = [name for name, count in zip(names, counts.tolist(), strict=True) if not count]
    if not unseen:
        return []
    return [f"{len(unseen)} of {len(names)} classes do not occur in {found.read} labels: {_some(unseen)}"]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
