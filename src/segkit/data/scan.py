"""What looks at samples add up to: mistakes with their remedies, where they are still cheap."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.data.labels import LabelMap
from segkit.data.look import Look, look_at
from segkit.errors import DatasetError, some_of
from segkit.types import IGNORE_INDEX, Dataset

_SHOWN = 8
_LABELS = ("unknown_values", "unknown_colors", "color_labels")
"""Kinds of mistakes that lie in what the labels mean, and not in single files."""


@dataclass(frozen=True)
class Finding:
    """A mistake, or what may be one, in any number of samples.

    Attributes:
        kind: in a word.
        severity: an error would spoil the training, a warning may be as it should.
        message: what is wrong and how to mend it.
        where: each case: a file with what is wrong in it, or a sample's name.
        remedy: lines for the ``dataset`` section that mend it, "" if there is none.
    """

    kind: str
    severity: Literal["error", "warning"]
    message: str
    where: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True)
class ScanReport:
    """What a look through the labels found.

    Attributes:
        samples: how many were read.
        counts: (K,) pixels of each class; two entries, absent and present, for a single class.
        ignored: pixels that do not count.
        findings: what is wrong.
    """

    samples: int
    counts: NDArray[np.int64]
    ignored: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[str, ...]:
        """Mistakes that would spoil the training, each with its remedy."""
        return tuple(f.message for f in self.findings if f.severity == "error")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may be as it should."""
        return tuple(f.message for f in self.findings if f.severity == "warning")

    def require_clean(self) -> None:
        """Stops on errors.

        Raises:
            DatasetError: one line for each.
        """
        if self.errors:
            raise DatasetError("\n".join(self.errors))


@dataclass
class Findings:
    """What adds up while samples are looked at.

    Args:
        dataset: the split.
    """

    dataset: Dataset
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    total: int = 0
    read: int = 0
    wrong: dict[str, list[Look]] = field(default_factory=dict)
    unknown: Counter[int] = field(default_factory=Counter)
    colors: Counter[int] = field(default_factory=Counter)
    unlabelled: list[str] = field(default_factory=list)
    all_ignored: list[str] = field(default_factory=list)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(K,) pixels of each class; two for a single one."""
        return self.histogram[: max(len(self.dataset.info.names), 2)]

    def add(self, look: Look) -> None:
        self.total += 1
        if look.kind:
            self.wrong.setdefault(look.kind, []).append(look)
            self.unknown.update(look.unknown)
            self.colors.update(look.colors)
            return
        self.read += 1
        if look.counts is None:
            self.unlabelled.append(look.name)
            return
        self.histogram += look.counts
        if look.counts[IGNORE_INDEX] == look.counts.sum():
            self.all_ignored.append(look.name)

    def judge(self, *, skip_errors: bool = False) -> ScanReport:
        """What is wrong with all that was added.

        Args:
            skip_errors: unreadable files are warnings, since the loader will replace them.
        """
        found = [self._wrong(kind, skip_errors) for kind in self.wrong]
        found += [*self._never_labelled(), *self._unlabelled()]
        if self.all_ignored and len(self.all_ignored) < self.read:
            shown = some_of(self.all_ignored, _SHOWN)
            text = f"all pixels are ignored in {len(self.all_ignored)} of {self.total}: {shown}"
            found.append(Finding("all_ignored", "warning", text, tuple(self.all_ignored)))
        if self.read > len(self.unlabelled) and not any(f.severity == "error" for f in found):
            found += self._unseen()
        return ScanReport(self.read, self.counts, int(self.histogram[IGNORE_INDEX]), tuple(found))

    def _wrong(self, kind: str, skip_errors: bool) -> Finding:
        cases = self.wrong[kind]
        first = cases[0].problem
        severity: Literal["error", "warning"] = "warning" if skip_errors and kind not in _LABELS else "error"
        message, remedy = first, ""
        if kind == "unknown_values" and self._label_map is not None:
            two_values = set(self.unknown) == {255}
            remedy = self._label_map.remedy(dict(sorted(self.unknown.items())), two_values=two_values)
            if len(cases) > 1:
                merged = self._label_map.describe(dict(sorted(self.unknown.items())), two_values=two_values)
                message = f"in {len(cases)} of {self.total} labels, first in {first.split(': ')[0]}: {merged}"
        elif len(cases) > 1:
            what = {"size_mismatch": "differ in size from their labels", "color_labels": "have labels of colours"}
            verb = what.get(kind, "have labels with unknown colours" if kind in _LABELS else "cannot be read")
            message = f"{len(cases)} of {self.total} samples {verb}; the first: {first}"
        if kind == "color_labels":
            remedy = self._color_lines()
        return Finding(kind, severity, message, tuple(look.case for look in cases), remedy)

    def _color_lines(self) -> str:
        """The colours of the masks; which is which class, only their author knows."""
        colors = sorted(color for color, _ in self.colors.most_common(_SHOWN * 4))
        listed = ", ".join(f"[{c >> 16}, {c >> 8 & 255}, {c & 255}]" for c in colors)
        return f"label_format: color\ncolors: [{listed}]" if colors else ""

    @property
    def _label_map(self) -> LabelMap | None:
        return getattr(self.dataset, "label_map", None)

    def _unlabelled(self) -> list[Finding]:
        if not self.unlabelled or self._has_secret_labels:
            return []
        text = f"{len(self.unlabelled)} of {self.total} samples have no label file; training needs one for each"
        return [Finding("no_label", "error", text, tuple(self.unlabelled))]

    @property
    def _has_secret_labels(self) -> bool:
        """Whether the benchmark keeps the labels of this split, so that nobody misses them."""
        facts = getattr(getattr(self.dataset, "config", None), "facts", None)
        split = facts.splits.get(getattr(self.dataset, "split", "")) if facts is not None else None
        return split is not None and not split.labelled

    def _never_labelled(self) -> list[Finding]:
        """Labels that are all ignored, as 0/255 masks of two classes are where 255 means ignore."""
        ignored = self.histogram[IGNORE_INDEX]
        if self.all_ignored and len(self.all_ignored) == self.read:
            table: Any = {} if self._label_map is None else self._label_map.table
            shown = ", ".join(f"{k}: {v}" for k, v in list(table.items())[:_SHOWN])
            text = f"every pixel is ignored in all {self.read} labels read; check `label_map` ({shown})"
            return [Finding("all_ignored", "error", text, tuple(self.all_ignored))]
        own_map = getattr(getattr(self.dataset, "config", None), "label_map", None)
        counts = self.counts
        if len(counts) == 2 and own_map is None and ignored and counts[0] and not counts[1]:
            text = (
                f"no pixel of class 1 in {self.read} labels, but {ignored} ignored ones: masks of 0 and 255 need "
                "`label_map: {0: 0, 255: 1}`; if all is well, state `label_map: {0: 0, 1: 1, 255: ignore}`"
            )
            return [Finding("zero_255", "error", text, remedy="label_map: {0: 0, 255: 1}")]
        return []

    def _unseen(self) -> list[Finding]:
        names = self.dataset.info.names
        counts = self.counts if len(names) > 1 else self.counts[1:2]
        unseen = tuple(name for name, count in zip(names, counts.tolist(), strict=True) if not count)
        if not unseen:
            return []
        text = f"{len(unseen)} of {len(names)} classes do not occur in {self.read} labels: {some_of(unseen, _SHOWN)}"
        return [Finding("unseen_classes", "warning", text, unseen)]


def scan_labels(dataset: Dataset, n: int, *, skip_errors: bool = False) -> ScanReport:
    """Reads ``n`` samples, evenly spread over the split, and tells what is wrong with their labels.

    Args:
        dataset: the split.
        n: how many to read, at most; 0 reads none.
        skip_errors: unreadable files are warnings, since the loader will replace them.
    """
    indices = np.unique(np.linspace(0, len(dataset) - 1, min(n, len(dataset))).astype(int))
    found = Findings(dataset)
    for index in indices.tolist():
        found.add(look_at(dataset, index))
    return found.judge(skip_errors=skip_errors)
