"""One look at images: its scores, from the top row down, computed only as far as they are asked for."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor


class Model(Protocol):
    """What inference asks of a model: (N, C, H, W) normalised images -> (N, K, h, w) logits at its own resolution."""

    align_corners: bool
    """How the model's maps are resized."""

    def __call__(self, images: Tensor, /) -> Tensor: ...


class Look:
    """The scores of N images, read in rows.

    Args:
        height: rows in all.
        bands: (N, K, rows, W) float32 each, from the top down.
    """

    def __init__(self, height: int, bands: Iterator[Tensor]) -> None:
        self.height = height
        self.bands = bands
        self._held: list[Tensor] = []
        self._first = 0  # the row that the held bands begin with
        self._stop = 0  # the row past them

    @property
    def num_images(self) -> int:
        """N."""
        return self._newest.shape[0]

    @property
    def num_classes(self) -> int:
        """K."""
        return self._newest.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the scores are."""
        return self._newest.device

    @property
    def _newest(self) -> Tensor:
        if not self._held:
            self._pull()
        return self._held[-1]

    def rows(self, start: int, stop: int) -> Tensor:
        """(N, K, stop - start, W); rows above ``start`` are forgotten, so it must not fall from call to call."""
        while self._stop < stop:
            self._pull()
        while self._first + self._held[0].shape[2] <= start:
            self._first += self._held.pop(0).shape[2]
        if len(self._held) > 1:
            self._held[0] = self._held[0][:, :, start - self._first :]
            self._held = [torch.cat(self._held, dim=2)]
            self._first = start
        return self._held[0][:, :, start - self._first : stop - self._first]

    def _pull(self) -> None:
        band = next(self.bands)
        self._held.append(band)
        self._stop += band.shape[2]


def scores_of(logits: Tensor, average: str) -> Tensor:
    """What windows and looks are averaged as: the logits, or their probabilities over dim 1; float32."""
    # Autocast leaves half, whose 11 bits do not bear a sum over windows; and resizing is fastest on planes.
    logits = logits.float().contiguous()
    if average == "logits":
        return logits
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)
