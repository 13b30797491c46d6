"""Whether a model is right as often as it says: expected calibration error (Guo et al., 2017, arXiv:1706.04599)."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.dist import sum_over_ranks

_FIXED_POINT = 2**16
"""Confidences are summed as integers, so that their sum is the same however images are dealt to processes."""


class Calibration:
    """Counts pixels by how sure the model was of its answer.

    Args:
        num_classes: K; labels from K on (or 2 where K is 1) do not count.
        bins: intervals of equal width that confidences from 0 to 1 fall into.
        device: where to count.
    """

    def __init__(self, num_classes: int, *, bins: int = 15, device: torch.device | str = "cpu") -> None:
        self.num_classes = num_classes
        self.bins = bins
        # Pixels, right ones, and their confidences in fixed point.
        self._sums = torch.zeros(3, bins, dtype=torch.int64, device=device)

    def update(self, confidences: Tensor, preds: Tensor, target: Tensor) -> None:
        """Counts the pixels of any number of images.

        Args:
            confidences: float, the probability of the class that was predicted.
            preds: uint8 class ids of the same shape.
            target: uint8 of the same shape.
        """
        target = target.to(preds.device)
        valid = target < max(self.num_classes, 2)
        level = (confidences.float().clamp(0, 1) * _FIXED_POINT).round().long()
        index = (level * self.bins // (_FIXED_POINT + 1)).masked_fill(~valid, self.bins).flatten()
        right = (preds == target).long()
        for row, values in enumerate((torch.ones_like(level), right, level)):
            counted = self._sums.new_zeros(self.bins + 1).scatter_add_(0, index, values.flatten())
            self._sums[row] += counted[:-1]

    def sum_over_ranks(self) -> "Calibration":
        """The counts of all processes, by one all-reduce."""
        total = Calibration(self.num_classes, bins=self.bins, device=self._sums.device)
        total._sums = sum_over_ranks(self._sums)
        return total

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Mean confidence, share of right pixels, and pixels of each bin; nan where a bin is empty."""
        pixels, right, level = self._sums.cpu().numpy()
        with np.errstate(invalid="ignore"):
            return level / _FIXED_POINT / pixels, right / pixels, pixels

    @property
    def error(self) -> float:
        """The mean over pixels of |share right - mean confidence| of their bin, in [0, 1]; nan without pixels."""
        confidence, right, pixels = self.curve()
        total = int(pixels.sum())
        return float(np.nansum(pixels * np.abs(right - confidence)) / total) if total else math.nan
