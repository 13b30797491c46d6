"""Which samples an epoch visits, before it is shuffled: all, one of each group, or drawn by shares."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from segkit.types import Dataset

Indices = NDArray[np.int64]


class Order(Protocol):
    """The samples of an epoch; what is drawn depends on the generator alone."""

    @property
    def visits(self) -> int:
        """Samples of an epoch, repeats counted; the same for every epoch."""
        ...

    def indices(self, rng: np.random.Generator) -> Indices:
        """(visits,) indices of samples."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """A data set that says itself which samples an epoch visits."""

    def order(self) -> Order: ...


def order_of(dataset: Dataset) -> Order:
    """The data set's own order, or every sample once."""
    return dataset.order() if isinstance(dataset, Ordered) else EverySample(len(dataset))


class EverySample:
    """Every sample once."""

    def __init__(self, samples: int) -> None:
        self.visits = samples

    def indices(self, rng: np.random.Generator) -> Indices:
        return np.arange(self.visits, dtype=np.int64)


class OneOfEach:
    """One sample of each group, another one each epoch: a frame of each video.

    Args:
        groups: indices of the samples of each group.
    """

    def __init__(self, groups: Sequence[Indices]) -> None:
        self.groups = groups
        self.visits = len(groups)

    def indices(self, rng: np.random.Generator) -> Indices:
        return np.array([group[rng.integers(len(group))] for group in self.groups], np.int64)


class Repeated:
    """Another order several times an epoch, drawn anew each time."""

    def __init__(self, inner: Order, times: int) -> None:
        self.inner = inner
        self.times = times
        self.visits = inner.visits * times

    def indices(self, rng: np.random.Generator) -> Indices:
        return np.concatenate([self.inner.indices(rng) for _ in range(self.times)])


class Mixed:
    """Several orders one after the other, as they are or by shares.

    Args:
        parts: the orders.
        offsets: what is added to each part's indices.
        shares: of each part in an epoch of as many visits as the parts have together; None takes all of each. A part
            with too few visits is begun again, one with too many is cut, at another place each epoch.
    """

    def __init__(self, parts: Sequence[Order], offsets: Sequence[int], shares: Sequence[float] | None = None) -> None:
        self.parts = parts
        self.offsets = offsets
        self.visits = sum(part.visits for part in parts)
        self.counts = [part.visits for part in parts] if shares is None else whole_counts(self.visits, shares)

    def indices(self, rng: np.random.Generator) -> Indices:
        drawn = []
        for part, offset, count in zip(self.parts, self.offsets, self.counts, strict=True):
            own = part.indices(rng)
            drawn.append(offset + (own if count == len(own) else in_turn(own, count, rng)))
        return np.concatenate(drawn)


class ClassBalanced:
    """Images drawn by the classes in them, rare classes more often (Hoyer et al., 2022, arXiv:2111.14887).

    A class c is drawn with a probability in proportion to exp((1 - f_c) / temperature), where f_c is its share of all
    labelled pixels; then one of the images that show it, in turn.

    Args:
        visits: samples of an epoch.
        pixels: (N, K) labelled pixels of each class in each image.
        temperature: the lower, the more the rarest classes count.
        min_pixels: an image shows a class if it has as many pixels of it.
    """

    def __init__(self, visits: int, pixels: NDArray[np.int64], *, temperature: float, min_pixels: int) -> None:
        self.visits = visits
        shown = pixels >= min_pixels
        self.classes = np.flatnonzero(shown.any(axis=0))
        self.images = [np.flatnonzero(shown[:, c]) for c in self.classes]
        share = pixels.sum(axis=0)[self.classes] / max(int(pixels.sum()), 1)
        weights = np.exp((share.min(initial=1.0) - share) / temperature)  # the rarest has 1: no overflow
        self.probs = weights / weights.sum()

    def indices(self, rng: np.random.Generator) -> Indices:
        counts = rng.multinomial(self.visits, self.probs)
        drawn = [in_turn(images, int(count), rng) for images, count in zip(self.images, counts, strict=True)]
        return np.concatenate(drawn)


def in_turn(members: Indices, count: int, rng: np.random.Generator) -> Indices:
    """``count`` of the members, in random order, none a further time before all others had their turn."""
    rounds = -(-count // len(members))
    return np.concatenate([rng.permutation(members) for _ in range(rounds)] or [members[:0]])[:count]


def whole_counts(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to ``shares`` that add up to ``total``."""
    ends = np.rint(np.cumsum(shares) / sum(shares) * total).astype(int)
    return [int(count) for count in np.diff(ends, prepend=0)]
