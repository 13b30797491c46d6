"""Images of an evaluation worth a look: some that are always the same, and those seen worst and best."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit import dist
from segkit.inference.drawing import Pixels, to_rgb
from segkit.inference.predict import labels_of
from segkit.types import IGNORE_INDEX, Batch

_AT_ONCE = 8
"""Images that are judged together: reading a figure from a GPU waits for it."""


@dataclass(frozen=True, eq=False)  # arrays have no plain answer to ==
class Exhibit:
    """One image of an evaluation, small enough to keep.

    Attributes:
        name: the sample's id.
        place: its number in the split.
        score: mean IoU over the classes of this image, labelled or predicted; nan if nothing is labelled.
        image: (h, w, 3) RGB.
        label: (h, w) class ids; 255 where nothing is labelled.
        preds: (h, w) class ids.
    """

    name: str
    place: int
    score: float
    image: Pixels
    label: Pixels
    preds: Pixels


class Gallery:
    """Chooses among the images of an evaluation as they pass, and keeps few of them, made small.

    Args:
        chosen: numbers of the samples to keep whatever their score.
        ranked: how many of the worst and of the best to keep.
        side: pixels of the longer side of what is kept; None keeps all of them.

    Attributes:
        shown: those chosen, by their number.
        worst: the worst ones, the worst first.
        best: the best ones that are not among the worst, the best first.
    """

    def __init__(self, chosen: Collection[int], ranked: int, *, side: int | None = 400) -> None:
        self.chosen = frozenset(chosen)
        self.ranked = ranked
        self.side = side
        self.shown: list[Exhibit] = []
        self.worst: list[Exhibit] = []
        self.best: list[Exhibit] = []
        self._waiting: list[_Seen] = []

    def see(self, batch: Batch, preds: Sequence[Tensor], scores: Sequence[Tensor]) -> None:
        """Takes in a batch.

        Args:
            batch: on the host.
            preds: (H, W) uint8 of each image.
            scores: mean IoU of each image, scalars on any device.
        """
        self._waiting += [_Seen(batch, i, preds[i], scores[i]) for i in range(len(preds))]
        if len(self._waiting) >= _AT_ONCE:
            self._judge()

    def gather(self) -> None:
        """Joins what the processes have kept; all of them call it once, at the end."""
        self._judge()
        parts = dist.gather_objects((self.shown, self.worst, self.best))
        shown, worst, best = ([one for part in parts for one in part[i]] for i in range(3))
        self.shown = sorted(shown, key=lambda one: one.place)
        self.worst = sorted(worst, key=_rank)[: self.ranked]
        names = {one.place for one in self.worst}
        self.best = sorted((one for one in best if one.place not in names), key=_rank, reverse=True)[: self.ranked]

    def _judge(self) -> None:
        """Reads the scores of those that wait, and lets go of all that nobody will look at."""
        if not self._waiting:
            return
        scores = torch.stack([seen.score for seen in self._waiting]).tolist()
        for seen, score in zip(self._waiting, scores, strict=True):
            exhibit = _Lazy(seen, score, self.side)
            if exhibit.place in self.chosen:
                self.shown.append(exhibit.make())
            if self.ranked and not math.isnan(score):
                _keep(self.worst, exhibit, self.ranked, sign=1)
                _keep(self.best, exhibit, 2 * self.ranked, sign=-1)  # twice: some may turn out to be among the worst
        self._waiting = []


@dataclass(frozen=True)
class _Seen:
    batch: Batch
    index: int
    preds: Tensor
    score: Tensor


@dataclass
class _Lazy:
    """An exhibit that is made only if it is kept."""

    seen: _Seen
    score: float
    side: int | None
    made: Exhibit | None = field(default=None)

    @property
    def place(self) -> int:
        return self.seen.batch.samples[self.seen.index]

    def make(self) -> Exhibit:
        if self.made is None:
            self.made = make_exhibit(self.seen.batch, self.seen.index, self.seen.preds, self.score, side=self.side)
        return self.made


def make_exhibit(batch: Batch, index: int, preds: Tensor, score: float, *, side: int | None = 400) -> Exhibit:
    """Image ``index`` of a batch with its prediction, its longer side ``side`` pixels at most."""
    top, left, height, width = batch.boxes[index].tolist()
    image = batch.images[index, :, top : top + height, left : left + width].permute(1, 2, 0).numpy()
    full = preds.shape
    scale = 1.0 if side is None else min(1.0, side / max(full))
    size = (max(1, round(full[0] * scale)), max(1, round(full[1] * scale)))
    small: Any = cv2.resize(to_rgb(image), size[::-1], interpolation=cv2.INTER_AREA)
    label = labels_of(batch)[index] if batch.masks is not None else torch.full(full, IGNORE_INDEX, dtype=torch.uint8)
    return Exhibit(batch.names[index], batch.samples[index], score, small, _pick(label, size), _pick(preds, size))


def _pick(mask: Tensor, size: tuple[int, int]) -> Pixels:
    """(height, width) of a mask's pixels, evenly spread; only they leave the device."""
    rows, columns = (
        ((torch.arange(n, device=mask.device) + 0.5) * (full / n)).long()
        for n, full in zip(size, mask.shape, strict=True)
    )
    picked: NDArray[np.uint8] = mask[rows][:, columns].cpu().numpy()
    return picked


def _rank(exhibit: "Exhibit | _Lazy") -> tuple[float, int]:
    return exhibit.score, exhibit.place


def _keep(kept: list[Exhibit], one: _Lazy, most: int, *, sign: int) -> None:
    """Puts an image among the ``most`` lowest (sign 1) or highest (sign -1), if it belongs there."""
    if len(kept) < most or sign * one.score < sign * kept[-1].score:
        kept.append(one.make())
        kept.sort(key=lambda exhibit: (sign * exhibit.score, exhibit.place))
        del kept[most:]
