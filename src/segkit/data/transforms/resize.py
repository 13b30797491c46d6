"""Changes of size; masks follow by nearest neighbour."""

import numpy as np

from segkit.config.transforms import (
    RandomChoiceResizeConfig,
    RandomShortestEdgeResizeConfig,
    ResizeConfig,
    ResizeShortestEdgeConfig,
)
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
        size = fit_shortest(frame.size, self.config.short_edge_length, self.config.max_size)
        return scaled(frame, size, self.config.interpolation)


@TRANSFORMS.register(RandomShortestEdgeResizeConfig)
class RandomShortestEdgeResize(Geometric):
    """Scales the shorter side to a random length, unless the longer one would pass its bound."""

    def __init__(self, config: RandomShortestEdgeResizeConfig) -> None:
        self.config = config

    def plan(self, frame: Frame, rng: np.random.Generator) -> Frame:
        length = int(rng.integers(*self.config.short_edge_range))
        return scaled(frame, fit_shortest(frame.size, length, self.config.max_size), self.config.interpolation)


@TRANSFORMS.register(RandomChoiceResizeConfig)
class RandomChoiceResize(Geometric):
    """Resizes by one of several transforms, chosen evenly."""

    def __init__(self, config: RandomChoiceResizeConfig) -> None:
        self.choices = [_choice(config, scale) for scale in config.scales]

    def plan(self, frame: Frame, rng: np.random.Generator) -> Frame:
        return self.choices[int(rng.integers(len(self.choices)))].plan(frame, rng)


def _choice(config: RandomChoiceResizeConfig, scale: int | tuple[int, int]) -> Geometric:
    if config.resize_type == "ResizeShortestEdge" and isinstance(scale, int):
        shortest = ResizeShortestEdgeConfig(
            short_edge_length=scale, max_size=config.max_size, interpolation=config.interpolation
        )
        return ResizeShortestEdge(shortest)
    return Resize(
        ResizeConfig(
            output_size=(scale, scale) if isinstance(scale, int) else scale,
            keep_ratio=config.keep_ratio,
            scale_range=config.scale_range,
            min_size=config.min_size,
            interpolation=config.interpolation,
        )
    )


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


def fit_shortest(size: Size, length: int, longest: int) -> Size:
    """The size whose shorter side is ``length``, unless the longer one would pass ``longest``."""
    scale = length / min(size)
    if max(size) * scale > longest:
        scale = longest / max(size)
    return fit(size, (_rounded(size[0] * scale), _rounded(size[1] * scale)))


def stretch(size: Size, bounds: tuple[int, int]) -> Size:
    """The bounds, the longer one laid along the image's longer side."""
    portrait = size[0] > size[1]
    return (max(bounds), min(bounds)) if portrait else (min(bounds), max(bounds))


def _rounded(length: float) -> int:
    return max(int(length + 0.5), 1)
