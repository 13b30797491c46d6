"""From counts to the figures that papers report."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from segkit.metrics.confusion import ConfusionMatrix

Values = NDArray[np.float64]

MEANS = {
    "miou": "iou",
    "macc": "accuracy",
    "mdice": "dice",
    "mfscore": "fscore",
    "mprecision": "precision",
    "mrecall": "recall",
}
"""Name of a mean -> the figure of each class that it is the mean of."""


@dataclass(frozen=True)
class Scores:
    """Figures between 0 and 1, nan where they are not defined.

    Attributes:
        per_class: ``iou``, ``accuracy`` (right among the pixels labelled so, which is the recall), ``dice``,
            ``fscore``, ``precision`` (right among the pixels predicted so) and ``recall``; (K,) float64 each.
        overall: ``all_accuracy`` (right pixels), ``fwiou`` (IoU weighted by the labelled pixels), and the means of
            :data:`MEANS` over the classes for which the figure is defined.
        support: (K,) int64, labelled pixels of each class.
        confusion: (K, K) int64 pixels, row label and column prediction, or (2, 2) where K is 1; None in older files.
    """

    per_class: Mapping[str, Values]
    overall: Mapping[str, float]
    support: NDArray[np.int64]
    confusion: NDArray[np.int64] | None = None

    def to_plain(self) -> dict[str, Any]:
        """Lists and numbers, for checkpoints."""
        per_class = {name: values.tolist() for name, values in self.per_class.items()}
        tree = {"per_class": per_class, "overall": dict(self.overall), "support": self.support.tolist()}
        return tree | ({} if self.confusion is None else {"confusion": self.confusion.tolist()})

    @classmethod
    def from_plain(cls, tree: Mapping[str, Any]) -> Self:
        """From a checkpoint, or from JSON, where null is not a number."""
        per_class = {name: np.array(values, np.float64) for name, values in tree["per_class"].items()}
        overall = {name: math.nan if value is None else value for name, value in tree["overall"].items()}
        confusion = np.asarray(tree["confusion"], np.int64) if "confusion" in tree else None
        return cls(per_class, overall, np.array(tree["support"], np.int64), confusion)


def compute_scores(matrix: ConfusionMatrix, *, beta: float = 1.0, missed_fscore: float = 0.0) -> Scores:
    """All figures from a confusion matrix.

    A class that is neither labelled nor predicted has no IoU; one that is not labelled has no recall, one that is not
    predicted no precision. Where the task is yes/no (K of 1), the figures are those of "yes".

    Args:
        beta: how many times as much the recall weighs in the F-score as the precision.
        missed_fscore: F-score of a class that is labelled or predicted, but never right. SSSegmentation has nan
            there, which leaves the class out of the mean: missing a class entirely raises its ``mfscore``.
    """
    confusion = matrix.counts.numpy()
    counts = confusion.astype(np.float64)
    right, labelled, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    overall = {"all_accuracy": _share(right.sum(), labelled.sum())}
    if matrix.num_classes == 1:
        right, labelled, predicted = right[1:], labelled[1:], predicted[1:]
    recall, precision = _ratio(right, labelled), _ratio(right, predicted)
    fscore = (1 + beta**2) * _ratio(right, predicted + beta**2 * labelled)
    missed = (right == 0) & (labelled + predicted > 0)
    per_class = {
        "iou": _ratio(right, labelled + predicted - right),
        "accuracy": recall,
        "dice": _ratio(2 * right, labelled + predicted),
        "fscore": np.where(missed, missed_fscore, fscore),
        "precision": precision,
        "recall": recall,
    }
    overall["fwiou"] = _share(np.nansum(labelled * per_class["iou"]), labelled.sum())
    overall |= {mean: mean_of_defined(per_class[figure]) for mean, figure in MEANS.items()}
    return Scores(per_class, overall, labelled.astype(np.int64), confusion)


def _ratio(part: Values, whole: Values) -> Values:
    """Quotients, nan where both are 0."""
    return np.divide(part, whole, out=np.full_like(whole, math.nan), where=whole > 0)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def mean_of_defined(values: Values) -> float:
    """The mean of the defined values; nan if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else math.nan
