"""From the values in label files to class ids: one look-up table, applied once."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.data.io import Array
from segkit.errors import ConfigError, DatasetError, some_of
from segkit.types import IGNORE_INDEX, Sample

MAX_CLASSES = 254
"""Ids fit into uint8 beside ``IGNORE_INDEX`` and the mark of unknown values."""

_UNKNOWN = 254


class UnknownLabelError(DatasetError):
    """A label file with values that are neither a class nor ignored.

    Attributes:
        counts: value -> number of pixels.
    """

    counts: Mapping[int, int] = {}


def require_classes(sample: Sample, num_classes: int) -> Sample:
    """Hands on a sample whose label can be trained on; data sets and transforms of a user's own may make others.

    Raises:
        DatasetError: the mask is not uint8, or an id is neither a class nor ``IGNORE_INDEX``.
    """
    if sample.mask is None:
        return sample
    if sample.mask.dtype != np.uint8:
        raise DatasetError(f"{sample.name}: a label must be uint8 class ids (got {sample.mask.dtype})")
    ids = max(num_classes, 2)
    wrong = cv2.inRange(sample.mask, ids, IGNORE_INDEX - 1)
    if cv2.hasNonZero(wrong):
        values, counts = np.unique(sample.mask[wrong > 0], return_counts=True)
        found = zip(values[:5].tolist(), counts[:5].tolist(), strict=True)
        shown = ", ".join(f"{value} ({count} pixels)" for value, count in found)
        text = f"label ids must be 0 to {ids - 1}, or {IGNORE_INDEX} to be ignored (got {shown})"
        raise DatasetError(f"{sample.name}: {text}")
    return sample


class LabelMap:
    """Turns label values into class ids or ``IGNORE_INDEX``.

    Args:
        table: value in the files -> class id, or ``"ignore"``.
        num_classes: K; one class means that ids are 0 (absent) and 1 (present).
        ignore_unknown: values outside of the table are ignored instead of refused.
    """

    def __init__(self, table: Mapping[int, int | str], num_classes: int, *, ignore_unknown: bool = False) -> None:
        if num_classes > MAX_CLASSES:
            raise ConfigError(f"dataset: {num_classes} classes; at most {MAX_CLASSES} are supported")
        self.table = dict(table)
        self.num_classes = num_classes
        self.ids = max(num_classes, 2)
        too_large = sorted(v for v in table.values() if isinstance(v, int) and v >= self.ids)
        if too_large:
            raise ConfigError(f"dataset.label_map: class {too_large[0]} does not exist; ids are 0 to {self.ids - 1}")
        self._lut = np.full(65536, IGNORE_INDEX if ignore_unknown else _UNKNOWN, np.uint8)
        for value, new in self.table.items():
            self._lut[value] = IGNORE_INDEX if isinstance(new, str) else new
        self._lut8 = self._lut[:256].copy()
        self._checked = not ignore_unknown

    @property
    def inverse(self) -> dict[int, int]:
        """Class id -> the smallest value that stands for it."""
        found: dict[int, int] = {}
        for value in sorted(self.table):
            new = self.table[value]
            if not isinstance(new, str):
                found.setdefault(new, value)
        return found

    def __call__(self, label: Array, path: Path | str) -> NDArray[np.uint8]:
        """Maps (H, W) uint8 or uint16 values to ids.

        Raises:
            DatasetError: a value is neither a class nor ignored; names ``path``, the values and their counts.
        """
        mask: NDArray[np.uint8]
        mask = cv2.LUT(label, self._lut8) if label.dtype == np.uint8 else self._lut.take(label)  # type: ignore[assignment]
        if self._checked and (mask == _UNKNOWN).any():
            values, counts = np.unique(label[mask == _UNKNOWN], return_counts=True)
            found = dict(zip(values.tolist(), counts.tolist(), strict=True))
            binary = len(np.unique(label)) <= 2
            error = UnknownLabelError(f"{path}: {self.describe(found, two_values=binary)}")
            error.counts = found
            raise error
        return mask

    def describe(self, unknown: Mapping[int, int], *, two_values: bool = False) -> str:
        """What is wrong with these values (value -> number of pixels), and the line that would mend it."""
        shown = some_of([f"{value} ({count} pixels)" for value, count in unknown.items()])
        verb = "value {} is" if len(unknown) == 1 else "values {} are"
        line = self.remedy(unknown, two_values=two_values)
        if not line:
            advice = "check the class list, give a full `label_map`, or set `unknown_labels: ignore`"
        elif self._is_yes_no(unknown, two_values):
            advice = f"a mask of 0 and 255 needs `{line}`"
        else:
            advice = f"if they do not count: `{line}`"
        return f"label {verb.format(shown)} neither a class (0 to {self.ids - 1}) nor ignored; {advice}"

    def remedy(self, unknown: Mapping[int, int], *, two_values: bool = False) -> str:
        """The line for the ``dataset`` section that gives these values a meaning; "" where they are too many."""
        if self._is_yes_no(unknown, two_values):
            return "label_map: {0: 0, 255: 1}"
        if len(self.table) + len(unknown) > 40:
            return ""
        lines = {**self.table, **dict.fromkeys(unknown, "ignore")}
        return "label_map: {" + ", ".join(f"{k}: {v}" for k, v in sorted(lines.items())) + "}"

    def _is_yes_no(self, unknown: Mapping[int, int], two_values: bool) -> bool:
        return self.ids == 2 and two_values and list(unknown) == [255]
