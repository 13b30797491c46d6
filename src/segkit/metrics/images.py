"""Counts of single images: which are worst, and how sure a difference between two models is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.metrics.confusion import ConfusionMatrix

Counts = NDArray[np.int64]
"""(..., 3, K): pixels of each class that are right, labelled so, and predicted so; of yes/no tasks those of yes."""
Values = NDArray[np.float64]


def image_counts(preds: Tensor, target: Tensor, num_classes: int) -> Counts:
    """The counts of one image: two (H, W) uint8 maps to (3, K) int64."""
    matrix = ConfusionMatrix(num_classes, preds.device)
    matrix.update(preds, target)
    counts = matrix.counts
    found = torch.stack([counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)]).numpy()
    return found[:, 1:] if num_classes == 1 else found


def mean_iou(counts: Counts) -> Values:
    """The mean IoU over the classes that are labelled or predicted: (..., 3, K) -> (...), nan without any."""
    right, labelled, predicted = np.moveaxis(counts.astype(np.float64), -2, 0)
    union = labelled + predicted - right
    seen = union > 0
    iou = np.divide(right, union, out=np.zeros_like(union), where=seen)
    with np.errstate(invalid="ignore"):
        return np.asarray(iou.sum(axis=-1) / seen.sum(axis=-1))


@dataclass(frozen=True)
class ImageScores:
    """What single images scored.

    Attributes:
        names: N sample ids, in the order of the split.
        counts: (N, 3, K).
    """

    names: tuple[str, ...]
    counts: Counts

    @property
    def miou(self) -> Values:
        """(N,) mean IoU of each image over the classes in it; nan where nothing is labelled."""
        return np.where(self.counts[:, 1].sum(axis=-1) > 0, mean_iou(self.counts), np.nan)

    def worst(self, count: int) -> list[int]:
        """Positions of the images with the lowest mean IoU, lowest first; those without labels are left out."""
        return _first(np.argsort(self.miou, kind="stable"), self.miou, count)

    def best(self, count: int) -> list[int]:
        """Positions of the images with the highest mean IoU, highest first."""
        return _first(np.argsort(-self.miou, kind="stable"), self.miou, count)


class Interval(NamedTuple):
    """A figure and how far chance may have moved it.

    Attributes:
        value: of the images as they are.
        low: lower bound of the confidence interval.
        high: upper bound.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images.

    Attributes:
        first: mean IoU of the first, and
        second: of the second.
        difference: second - first; the models see the same images in each resample.
        share_better: resamples in which the second is better.
    """

    first: Interval
    second: Interval
    difference: Interval
    share_better: float


def compare(
    first: ImageScores, second: ImageScores, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Comparison:
    """Paired bootstrap over images (Efron, 1979): the split is drawn anew, with replacement, ``resamples`` times.

    Raises:
        ValueError: they are not of the same images.
    """
    if first.names != second.names:
        raise ValueError("the two models were scored on different images")
    draws = np.random.default_rng(seed).multinomial(
        len(first.names), np.full(len(first.names), 1 / len(first.names)), size=resamples
    )
    one, two = (_resampled(scores.counts, draws) for scores in (first, second))
    now = tuple(float(mean_iou(scores.counts.sum(axis=0))) for scores in (first, second))
    return Comparison(
        _interval(now[0], one, level),
        _interval(now[1], two, level),
        _interval(now[1] - now[0], two - one, level),
        float(np.mean(two > one)),
    )


def _resampled(counts: Counts, draws: NDArray[np.int64]) -> Values:
    """The mean IoU of each resample: (N, 3, K) and (R, N) -> (R,)."""
    flat = counts.reshape(len(counts), -1).astype(np.float64)  # exact up to 2^53 pixels, and a fast product
    return mean_iou((draws.astype(np.float64) @ flat).reshape(-1, *counts.shape[1:]).astype(np.int64))


def _interval(value: float, values: Values, level: float) -> Interval:
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _first(order: NDArray[np.intp], values: Values, count: int) -> list[int]:
    return [int(i) for i in order if not np.isnan(values[i])][:count]
