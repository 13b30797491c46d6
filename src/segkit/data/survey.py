"""Figures of whole splits: sizes, classes, statistics of the images, and images that occur twice."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.datasets.missing import WAY_OUT, Missing
from segkit.data.look import Look
from segkit.data.scan import Finding, Findings
from segkit.types import Dataset


@dataclass
class Survey:
    """What adds up while all samples of a split are looked at.

    Attributes:
        split: its name.
        found: what is wrong, and pixels of each class.
        missing: files that are not there.
        images: (K,) images that show each class; two entries for a single class.
        sizes: (height, width) -> images.
        dtypes: of the images -> images.
        digests: of an image's pixels -> names of the samples that have them.
        shows: for each sample the classes that it shows, (K,); None for one that cannot be read.
    """

    split: str
    found: Findings
    missing: Sequence[Missing] = ()
    images: NDArray[np.int64] = field(init=False)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    dtypes: Counter[str] = field(default_factory=Counter)
    digests: dict[bytes, list[str]] = field(default_factory=dict)
    shows: list[NDArray[np.bool_] | None] = field(default_factory=list)
    _pixels: int = 0
    _sum: Any = 0.0
    _square: Any = 0.0

    def __post_init__(self) -> None:
        self.images = np.zeros(len(self.found.counts), np.int64)

    @classmethod
    def of(cls, split: str, dataset: Dataset, missing: Sequence[Missing] = ()) -> "Survey":
        """An empty one."""
        return cls(split, Findings(dataset), missing)

    def add(self, look: Look) -> None:
        self.found.add(look)
        shown = None if look.kind else np.zeros(len(self.images), np.bool_)
        if shown is not None and look.counts is not None:
            shown |= look.counts[: len(self.images)] > 0
            self.images += shown
        self.shows.append(shown)
        if look.image is None:
            return
        height, width, _ = look.image.shape
        self.sizes[height, width] += 1
        self.dtypes[look.image.dtype] += 1
        self.digests.setdefault(look.image.digest, []).append(look.name)
        pixels = height * width
        self._pixels += pixels
        self._sum = self._sum + look.image.mean * pixels
        self._square = self._square + look.image.square * pixels

    @property
    def mean(self) -> NDArray[np.float64]:
        """(C,) of each channel, over all pixels, in the files' units."""
        return np.atleast_1d(self._sum / max(self._pixels, 1))

    @property
    def std(self) -> NDArray[np.float64]:
        """(C,) of each channel, over all pixels, in the files' units."""
        variance = np.atleast_1d(self._square / max(self._pixels, 1)) - self.mean**2
        return np.sqrt(np.maximum(variance, 0))

    def pick(self, count: int) -> list[int]:
        """Samples that together show as many classes as can be, rare ones rather, far from each other in the split."""
        left = [index for index, shown in enumerate(self.shows) if shown is not None]
        table = np.array([self.shows[index] for index in left], np.bool_).reshape(len(left), -1)
        worth = 1 / np.maximum(self.images, 1)
        wanted = np.ones(table.shape[1])
        apart = np.full(len(left), float(len(left)))
        picked: list[int] = []
        while len(picked) < min(count, len(left)):
            scores = (table @ (worth * wanted) + 1e-9) * apart
            picked.append(int(scores.argmax()))
            apart = np.minimum(apart, np.abs(np.arange(len(left)) - picked[-1]))
            wanted[table[picked[-1]]] *= 0.1
        return sorted(left[position] for position in picked)

    def judge(self, *, skip_errors: bool = False) -> list[Finding]:
        """What is wrong with the split, missing files and images that it holds twice included."""
        twice = [names for names in self.digests.values() if len(names) > 1]
        found = [_of_missing(missing, skip_errors) for missing in self.missing]
        found += self.found.judge(skip_errors=skip_errors).findings
        if twice:
            cases = tuple(" = ".join(names) for names in twice)
            found.append(Finding("duplicates", "warning", f"{len(twice)} images occur more than once", cases))
        return found


def _of_missing(missing: Missing, skip_errors: bool) -> Finding:
    stops = missing.severity == "error" and not skip_errors
    text = f"{missing.message}; {WAY_OUT}" if stops else missing.message
    return Finding("missing", "error" if stops else "warning", text, missing.names)


def shared_images(first: Survey, second: Survey) -> list[Finding]:
    """Images that two splits have in common, whatever their file names."""
    common = [digest for digest in first.digests if digest in second.digests]
    if not common:
        return []
    cases = tuple(
        f"{first.split}: {', '.join(first.digests[d])} = {second.split}: {', '.join(second.digests[d])}" for d in common
    )
    text = f"{len(common)} images are both in {first.split} and in {second.split}: scores will be too good"
    return [Finding("shared_images", "warning", text, cases)]


def between_splits(surveys: Sequence[Survey]) -> list[Finding]:
    """What is wrong between any two splits."""
    return [finding for a, b in combinations(surveys, 2) for finding in shared_images(a, b)]


def class_weights(counts: Iterable[int]) -> list[float]:
    """A weight for each class, 1 / sqrt(share of the labelled pixels), their mean 1; a class never seen gets 1.

    The root is a compromise: in full proportion the rarest class would rule the loss.

    Args:
        counts: pixels of each class.
    """
    pixels = np.asarray(list(counts), np.float64)
    seen = pixels > 0
    weights = np.ones(len(pixels))
    if seen.any():
        roots = 1 / np.sqrt(pixels[seen] / pixels.sum())
        weights[seen] = roots / roots.mean()
    return [float(f"{w:.3g}") for w in weights]


def plain(survey: Survey, findings: Iterable[Finding]) -> dict[str, Any]:
    """A split's figures as plain data."""
    found = survey.found
    names = class_rows(found.dataset)
    sizes: Mapping[tuple[int, int], int] = survey.sizes
    return {
        "samples": found.total,
        "readable": found.read,
        "pixels": dict(zip(names, found.counts.tolist(), strict=True)),
        "images": dict(zip(names, survey.images.tolist(), strict=True)),
        "ignored_pixels": int(found.histogram[255]),
        "sizes": [{"height": h, "width": w, "images": n} for (h, w), n in sorted(sizes.items())],
        "dtypes": dict(survey.dtypes),
        "mean": survey.mean.tolist() if survey.sizes else [],
        "std": survey.std.tolist() if survey.sizes else [],
        "findings": [plain_finding(f) for f in findings],
    }


def plain_finding(finding: Finding) -> dict[str, Any]:
    """A finding as plain data."""
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "message": finding.message,
        "remedy": finding.remedy,
        "where": list(finding.where),
    }


def class_rows(dataset: Dataset) -> tuple[str, ...]:
    """What each id in a mask stands for; a single class has its absence beside it."""
    names = dataset.info.names
    return names if len(names) > 1 else (f"not {names[0]}", *names)
