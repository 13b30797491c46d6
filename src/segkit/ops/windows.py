"""Where the windows of sliding inference lie."""

from typing import NamedTuple


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
