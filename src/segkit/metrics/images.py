"""Counts of single images: which are worst, and how sure a difference between two models is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from segkit.metrics.confusion import class_iou, mean_iou

Counts = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class ImageScores:
    """What single images scored.

    Attributes:
        names: N sample ids, in the order of the split.
        counts: (N, 3, K), of :meth:`segkit.metrics.ConfusionMatrix.update`.
    """

    names: tuple[str, ...]
    counts: Counts

    @property
    def iou(self) -> Values:
        """(N, K) IoU of each class in each image; nan where it is neither labelled nor predicted."""
        return class_iou(torch.from_numpy(self.counts).double()).numpy()

    @property
    def miou(self) -> Values:
        """(N,) mean IoU of each image over the classes in it; nan where nothing is labelled."""
        means = mean_iou(torch.from_numpy(self.counts).double()).numpy()
        return np.where(self.counts[:, 1].sum(axis=-1) > 0, means, np.nan)

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
    as_they_are = np.ones((1, len(first.names)), np.int64)
    now, then = (_resampled(scores.counts, as_they_are).item() for scores in (first, second))
    return Comparison(
        _interval(now, one, level),
        _interval(then, two, level),
        _interval(then - now, two - one, level),
        float(np.mean(two > one)),
    )


def _resampled(counts: Counts, draws: NDArray[np.int64]) -> Values:
    """The mean IoU of each resample: (N, 3, K) and (R, N) -> (R,)."""
    flat = counts.reshape(len(counts), -1).astype(np.float64)  # exact up to 2^53 pixels, and a fast product
    return mean_iou(torch.from_numpy((draws.astype(np.float64) @ flat).reshape(-1, *counts.shape[1:]))).numpy()


def _interval(value: float, values: Values, level: float) -> Interval:
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _first(order: NDArray[np.intp], values: Values, count: int) -> list[int]:
    return [int(i) for i in order if not np.isnan(values[i])][:count]
