"""Changes of size; masks follow by nearest neighbour."""

import numpy as np

from segkit.config.transforms import ResizeConfig, ResizeShortestEdgeConfig
from segkit.data.transforms.base import INTERPOLATIONS, Frame, Geometric
from segkit.data.views import Nearest, Scaled, Size
from segkit.registry import TRANSFORMS


@TRANSFORMS.register(ResizeConfig)
class Resize(Geometric):
    """Scales to fit into a box, or to fill it, after scaling the box itself at random."""

    def __init__(self, config: ResizeConfig) -> None:
        self.config = config

    def plan(self, frame: Frame, rng: np.random.Generator) -> Frame:
        bounds = self.config.output_size
        if self.config.scale_range is not None:
            low, high = self.config.scale_range
            scale = low + rng.random() * (high - low)
            bounds = (int(bounds[0] * scale), int(bounds[1] * scale))
        size = fit(frame.size, bounds, self.config.min_size) if self.config.keep_ratio else stretch(frame.size, bounds)
        return scaled(frame, size, self.config.interpolation)


@TRANSFORMS.register(ResizeShortestEdgeConfig)
class ResizeShortestEdge(Geometric):
    """Scales the shorter side to a length, unless the longer one would pass its bound."""

    def __init__(self, config: ResizeShortestEdgeConfig) -> None:
        self.config = config

    def plan(self, frame: Frame, rng: np.random.Generator) -> Frame:
        scale = self.config.short_edge_length / min(frame.size)
        longest = max(frame.size) * scale
        if longest > self.config.max_size:
            scale *= self.config.max_size / longest
        bounds = (_rounded(frame.size[0] * scale), _rounded(frame.size[1] * scale))
        return scaled(frame, fit(frame.size, bounds), self.config.interpolation)


def scaled(frame: Frame, size: Size, interpolation: str) -> Frame:
    """The frame at another size."""
    if size == frame.size:
        return frame
    mask = None if frame.mask is None else Nearest(frame.mask, size)
    if interpolation == "nearest":
        return Frame(Nearest(frame.image, size), mask)
    return Frame(Scaled(frame.image, size, INTERPOLATIONS[interpolation]), mask)


def fit(size: Size, bounds: tuple[int, int], min_size: int | None = None) -> Size:
    """The largest size of the same shape inside bounds of the longer and the shorter side (in any order)."""
    scale = min(max(bounds) / max(size), min(bounds) / min(size))
    fitted = (_rounded(size[0] * scale), _rounded(size[1] * scale))
    if min_size is not None and min(fitted) < min_size:
        scale = min_size / min(size)
        fitted = (_rounded(size[0] * scale), _rounded(size[1] * scale))
    return fitted


def stretch(size: Size, bounds: tuple[int, int]) -> Size:
    """The bounds, the longer one laid along the image's longer side."""
    portrait = size[0] > size[1]
    return (max(bounds), min(bounds)) if portrait else (min(bounds), max(bounds))


def _rounded(length: float) -> int:
    return max(int(length + 0.5), 1)
