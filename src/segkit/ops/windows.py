"""Where the windows of sliding inference lie."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Blend = Literal["uniform", "gaussian", "hann"]

_SIGMA = 1 / 8  # of the side, as nnU-Net has it (Isensee et al., 2021)
_LEAST = 1e-3  # a window's rim still counts where no other window lies


class Window(NamedTuple):
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The first column beyond it."""
        return self.left + self.width

    def overlap(self, other: "Window") -> "Window":
        """The part that both cover; its height or width is 0 where there is none."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        height, width = min(self.bottom, other.bottom) - top, min(self.right, other.right) - left
        return Window(top, left, max(height, 0), max(width, 0))


def window_starts(length: int, crop: int, stride: int) -> list[int]:
    """First pixels of the windows along one side; the last is shifted back so that it ends with the image.

    Args:
        length: pixels of the side.
        crop: pixels of a window; a shorter side has one window, of its own length.
        stride: pixels from window to window, at most ``crop``; the last step may be shorter.
    """
    count = max(length - crop + stride - 1, 0) // stride + 1
    return [min(i * stride, max(length - crop, 0)) for i in range(count)]


def windows(size: tuple[int, int], crop: tuple[int, int], stride: tuple[int, int]) -> list[Window]:
    """Windows of one size that cover an image, from the top, each row from the left; all as (height, width)."""
    height, width = min(crop[0], size[0]), min(crop[1], size[1])
    return [
        Window(top, left, height, width)
        for top in window_starts(size[0], crop[0], stride[0])
        for left in window_starts(size[1], crop[1], stride[1])
    ]


def window_profile(length: int, blend: Blend) -> Tensor:
    """(length,) float32: what the pixels along one side of a window count; a pixel counts the product of its two.

    All are above 0 and symmetric; ``gaussian`` and ``hann`` (a raised cosine) fall from the middle to the rim.
    """
    places = (torch.arange(length, dtype=torch.float64) + 0.5) / length - 0.5  # -0.5 to 0.5, the pixels' centres
    if blend == "gaussian":
        counts = torch.exp(-0.5 * (places / _SIGMA) ** 2)
    elif blend == "hann":
        counts = 0.5 + 0.5 * torch.cos(2 * torch.pi * places)
    else:
        counts = torch.ones(length)
    return counts.clamp(min=_LEAST).float()


def covered(length: int, crop: int, stride: int, blend: Blend) -> Tensor:
    """(length,) float32: what all windows together count along one side; a pixel's sum is the product of its two."""
    profile = window_profile(min(crop, length), blend)
    sums = torch.zeros(length)
    for start in window_starts(length, crop, stride):
        sums[start : start + crop] += profile
    return sums
