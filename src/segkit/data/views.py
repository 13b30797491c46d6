"""Lazy geometry: images that exist only where somebody reads them.

A chain of resizes, crops, flips and rotations is a chain of views. Reading a window of the last one reads, step by
step, no more than the window of the first that it needs. So a 512 x 512 crop of an image resized to 1024 x 1366 costs
512 x 512 pixels, and the steps stay as separate as they are in the configuration.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.data.io import Array

Size = tuple[int, int]

_TOLERANCE = 1 / 2048
"""Pixels that a window's sampling grid may be off from the whole image's: one step of OpenCV's coefficients.

At 1/256 a resize would take a quarter less time, but single grey levels that differ become several where saturation or
hue are changed afterwards.
"""

_SUPPORT = {
    cv2.INTER_LINEAR: 1,
    cv2.INTER_CUBIC: 2,
    cv2.INTER_LANCZOS4: 4,
}
"""Interpolations whose kernel has a fixed width, and how far it reaches to either side."""


class Box(NamedTuple):
    """A window, in pixels."""

    top: int
    left: int
    height: int
    width: int


class View(Protocol):
    """An image or mask that is computed where it is read."""

    @property
    def size(self) -> Size:
        """(height, width)."""
        ...

    def read(self, box: Box) -> Array:
        """The pixels of a window inside the view; not to be written to."""
        ...


@runtime_checkable
class Shrinkable(View, Protocol):
    """A view that costs less where it is seen smaller."""

    def at_least(self, size: Size, *, even: bool) -> "Shrunk | None":
        """A smaller image that is no smaller than ``size``, if there is one.

        Args:
            size: (height, width).
            even: take only one whose pixels are means of equally many of the image's own.
        """
        ...


class Shrunk(NamedTuple):
    """A smaller image.

    Attributes:
        view: its pixels.
        extent: (height, width) of the image in these pixels; the last ones may reach over its border.
    """

    view: View
    extent: tuple[float, float]


def read_all(view: View) -> Array:
    """Every pixel of a view."""
    return view.read(Box(0, 0, *view.size))


@dataclass(frozen=True)
class Pixels:
    """Pixels in memory: (H, W) or (H, W, C)."""

    array: Array

    @property
    def size(self) -> Size:
        return self.array.shape[0], self.array.shape[1]

    def read(self, box: Box) -> Array:
        return self.array[box.top : box.top + box.height, box.left : box.left + box.width]


@dataclass(frozen=True)
class Cropped:
    """A window of another view."""

    source: View
    box: Box

    @property
    def size(self) -> Size:
        return self.box.height, self.box.width

    def read(self, box: Box) -> Array:
        return self.source.read(Box(self.box.top + box.top, self.box.left + box.left, box.height, box.width))


@dataclass(frozen=True)
class Mirrored:
    """Another view, left and right exchanged."""

    source: View

    @property
    def size(self) -> Size:
        return self.source.size

    def read(self, box: Box) -> Array:
        left = self.size[1] - box.left - box.width
        return _channels_kept(cv2.flip, self.source.read(box._replace(left=left)), 1)


@dataclass(frozen=True)
class Relabelled:
    """Another view, its uint8 values replaced by a look-up table of 256 entries."""

    source: View
    table: NDArray[np.uint8]

    @property
    def size(self) -> Size:
        return self.source.size

    def read(self, box: Box) -> Array:
        return cv2.LUT(self.source.read(box), self.table)


@dataclass(frozen=True)
class Nearest:
    """Another view at another size, each pixel a copy of one of the source (OpenCV's choice of it)."""

    source: View
    size: Size

    def read(self, box: Box) -> Array:
        rows = _nearest(box.top, box.height, self.source.size[0], self.size[0])
        cols = _nearest(box.left, box.width, self.source.size[1], self.size[1])
        top, left = int(rows[0]), int(cols[0])
        pixels = self.source.read(Box(top, left, int(rows[-1]) - top + 1, int(cols[-1]) - left + 1))
        if len(rows) > pixels.shape[0]:  # gather the axis that grows last
            return _columns(pixels, cols - left).take(rows - top, axis=0)
        return _columns(pixels.take(rows - top, axis=0), cols - left)


@dataclass(frozen=True)
class Scaled:
    """Another view at another size, interpolated as ``cv2.resize`` does.

    OpenCV samples an image from its first pixel on, so a window can be resized by itself only if it begins where the
    grids of source and result coincide. Reading looks for the nearest such place before the window; the image's
    border always is one.
    """

    source: View
    size: Size
    interpolation: int
    extent: tuple[float, float] | None = None
    """(height, width) of the source that is resized; None for all of it."""

    def read(self, box: Box) -> Array:
        if isinstance(self.source, Shrinkable):
            smaller = self.source.at_least(self.size, even=self.interpolation not in _SUPPORT)
            if smaller is not None:
                return Scaled(smaller.view, self.size, self.interpolation, smaller.extent).read(box)
        support = _SUPPORT.get(self.interpolation)
        if support is None:  # area averaging: its cells depend on the whole image
            pixels = self._resize(read_all(self.source), self.size)
            return pixels[box.top : box.top + box.height, box.left : box.left + box.width]
        extent = self.extent or self.source.size
        scale_y, scale_x = self.size[0] / extent[0], self.size[1] / extent[1]
        rows = _aligned(box.top, box.height, extent[0] / self.size[0], self.source.size[0], support)
        cols = _aligned(box.left, box.width, extent[1] / self.size[1], self.source.size[1], support)
        if rows.keeps_length(scale_y) and cols.keeps_length(scale_x):
            # OpenCV copies instead of interpolating when the sizes agree, as they may for a window alone.
            pixels = self._resize(read_all(self.source), self.size)
            return pixels[box.top : box.top + box.height, box.left : box.left + box.width]
        pixels = self.source.read(Box(rows.source, cols.source, rows.source_length, cols.source_length))
        pixels = _channels_kept(cv2.resize, pixels, None, None, scale_x, scale_y, self.interpolation)
        return pixels[rows.skip : rows.skip + box.height, cols.skip : cols.skip + box.width]

    def _resize(self, pixels: Array, size: Size) -> Array:
        return _channels_kept(cv2.resize, pixels, size[::-1], None, 0.0, 0.0, self.interpolation)


@dataclass(frozen=True)
class Warped:
    """Another view under an affine map; pixels from outside get ``fill``.

    Attributes:
        source: what is warped.
        matrix: (2, 3); (x, y) of the result to (x, y) of the source.
        interpolation: OpenCV's number for it.
        fill: value of pixels that come from outside of the source.
    """

    source: View
    matrix: NDArray[np.float64]
    interpolation: int
    fill: float

    @property
    def size(self) -> Size:
        return self.source.size

    def read(self, box: Box) -> Array:
        shift = np.array([[1, 0, box.left], [0, 1, box.top], [0, 0, 1]], np.float64)
        matrix = self.matrix @ shift
        needed = self._needed(matrix, box)
        pixels = self.source.read(needed)
        matrix[:, 2] -= (needed.left, needed.top)
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        flags = self.interpolation | cv2.WARP_INVERSE_MAP
        fill = (self.fill,) * min(channels, 4)
        return _channels_kept(
            cv2.warpAffine, pixels, matrix, (box.width, box.height), None, flags, cv2.BORDER_CONSTANT, fill
        )

    def _needed(self, matrix: NDArray[np.float64], box: Box) -> Box:
        """The part of the source under the window, with room for the kernel; at least one pixel."""
        ends = np.array([[0, box.width, 0, box.width], [0, 0, box.height, box.height], [1, 1, 1, 1]], np.float64)
        x, y = matrix @ ends
        margin = 1 + _SUPPORT.get(self.interpolation, 1)
        height, width = self.source.size
        left, right = _clip(x.min() - margin, x.max() + margin, width)
        top, bottom = _clip(y.min() - margin, y.max() + margin, height)
        return Box(top, left, bottom - top, right - left)


class Tile(NamedTuple):
    """A view, and where its upper left pixel lies on a canvas."""

    view: View
    top: int
    left: int


@dataclass(frozen=True)
class Tiled:
    """Views side by side on a canvas; they do not overlap, and lie inside it.

    Attributes:
        size: (height, width) of the canvas.
        tiles: the views; at least one.
        fill: value of pixels between them.
    """

    size: Size
    tiles: tuple[Tile, ...]
    fill: float

    def read(self, box: Box) -> Array:
        parts = [(common, tile) for tile in self.tiles if (common := _common(box, tile)) is not None]
        pixels = [tile.view.read(_shifted(common, -tile.top, -tile.left)) for common, tile in parts]
        like = pixels[0] if pixels else self.tiles[0].view.read(Box(0, 0, 1, 1))
        canvas = np.full((box.height, box.width, *like.shape[2:]), self.fill, like.dtype)
        for (common, _), part in zip(parts, pixels, strict=True):
            at = _shifted(common, -box.top, -box.left)
            canvas[at.top : at.top + at.height, at.left : at.left + at.width] = part
        return canvas


def _common(box: Box, tile: Tile) -> Box | None:
    """The part of a window that a tile covers."""
    top, left = max(box.top, tile.top), max(box.left, tile.left)
    bottom = min(box.top + box.height, tile.top + tile.view.size[0])
    right = min(box.left + box.width, tile.left + tile.view.size[1])
    return Box(top, left, bottom - top, right - left) if bottom > top and right > left else None


def _shifted(box: Box, rows: int, cols: int) -> Box:
    return box._replace(top=box.top + rows, left=box.left + cols)


class _Span(NamedTuple):
    """A stretch of the source that resizes to a stretch of the result, of which the first ``skip`` are extra."""

    source: int
    source_length: int
    skip: int

    def keeps_length(self, scale: float) -> bool:
        """Whether resizing the stretch gives as many pixels again."""
        return round(self.source_length * scale) == self.source_length


def _aligned(start: int, length: int, step: float, source: int, support: int) -> _Span:
    """The shortest stretch that resizes as the whole would, for result pixels ``start`` to ``start + length``.

    ``step`` is how many pixels of the source, which has ``source``, one of the result covers.
    """
    first = math.floor((start + 0.5) * step - 0.5) - support + 1
    last = math.floor((start + length - 0.5) * step - 0.5) + support
    # Candidates begin at or before the first pixel that the kernel touches.
    highest = max(0, math.floor(first / step))
    begins = np.arange(highest + 1)
    off = begins * step
    good = np.flatnonzero(np.abs(off - np.rint(off)) <= _TOLERANCE)
    begin = int(good[-1])  # 0 is always good
    at = round(begin * step)
    end = min(source, max(last + 1, at + math.ceil((start + length - begin) * step)) + 1)
    return _Span(at, end - at, start - begin)


def _nearest(start: int, length: int, source: int, result: int) -> NDArray[np.intp]:
    """The source pixels that OpenCV's nearest neighbour takes for a stretch of the result."""
    step = 1 / (result / source)  # two roundings, as OpenCV has it
    index = np.floor(np.arange(start, start + length) * step).astype(np.intp)
    return np.minimum(index, source - 1)


def _columns(pixels: Array, index: NDArray[np.intp]) -> Array:
    """Columns by number; of a mask as rows of it turned, which are copied whole, five times faster than pixels."""
    if pixels.ndim > 2:
        return pixels.take(index, axis=1)
    return cv2.transpose(cv2.transpose(pixels).take(index, axis=0))


def _clip(low: float, high: float, length: int) -> tuple[int, int]:
    first = min(max(math.floor(low), 0), length - 1)
    return first, max(min(math.ceil(high) + 1, length), first + 1)


def _channels_kept(function: object, pixels: Array, *args: object) -> Array:
    """Calls an OpenCV function for any number of channels: it takes 4 in some, and drops the axis of a single one."""
    call: object = function
    if pixels.ndim == 2 or pixels.shape[2] in (2, 3, 4):
        return call(pixels, *args)  # type: ignore[operator]
    parts = [call(np.ascontiguousarray(pixels[:, :, i]), *args) for i in range(pixels.shape[2])]  # type: ignore[operator]
    return np.stack(parts, axis=2)
