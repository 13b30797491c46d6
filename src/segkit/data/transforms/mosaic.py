"""Four images on one canvas (Bochkovskiy et al., 2020, arXiv:2004.10934)."""

from collections.abc import Sequence

import numpy as np

from segkit.config.transforms import RandomMosaicConfig
from segkit.data.transforms.base import Frame, Mixing
from segkit.data.transforms.resize import fit, scaled
from segkit.data.views import Box, Cropped, Size, Tile, Tiled, View
from segkit.registry import TRANSFORMS
from segkit.types import IGNORE_INDEX


@TRANSFORMS.register(RandomMosaicConfig)
class RandomMosaic(Mixing):
    """Lays four images, each fitted into ``img_scale``, around a random centre of a canvas of twice that size.

    Each touches the centre with a corner: the sample with its lower right one, the others with their lower left, upper
    right and upper left one. What would lie outside of the canvas is cut off.
    """

    others = 3

    def __init__(self, config: RandomMosaicConfig) -> None:
        self.config = config

    def acts(self, rng: np.random.Generator) -> bool:
        return bool(rng.random() < self.config.prob)

    def mix(self, frames: Sequence[Frame], rng: np.random.Generator) -> Frame:
        low, high = self.config.center_ratio_range
        row, col = (int(length * (low + rng.random() * (high - low))) for length in self.config.img_scale)
        size = (2 * self.config.img_scale[0], 2 * self.config.img_scale[1])
        fitted = [self._fitted(frame) for frame in frames]
        image = _tiled([frame.image for frame in fitted], size, (row, col), self.config.fill)
        masks = [frame.mask for frame in fitted if frame.mask is not None]
        if len(masks) < len(fitted):
            return Frame(image, None)
        return Frame(image, _tiled(masks, size, (row, col), IGNORE_INDEX))

    def _fitted(self, frame: Frame) -> Frame:
        height, width = self.config.img_scale
        scale = min(height / frame.size[0], width / frame.size[1])
        longest, shortest = max(frame.size) * scale, min(frame.size) * scale
        size = fit(frame.size, (max(int(longest + 0.5), 1), max(int(shortest + 0.5), 1)))
        return scaled(frame, size, self.config.interpolation)


def _tiled(views: Sequence[View], size: Size, centre: tuple[int, int], fill: float) -> Tiled:
    """The views around the centre: above it on the left and on the right, then below it likewise."""
    tiles = []
    for index, view in enumerate(views):
        above, before = index < 2, index % 2 == 0
        top, height, skip_rows = _stretch(view.size[0], centre[0], size[0], before=above)
        left, width, skip_cols = _stretch(view.size[1], centre[1], size[1], before=before)
        if height and width:
            tiles.append(Tile(Cropped(view, Box(skip_rows, skip_cols, height, width)), top, left))
    return Tiled(size, tuple(tiles), fill)


def _stretch(length: int, centre: int, canvas: int, *, before: bool) -> tuple[int, int, int]:
    """Where a view lies along one axis of the canvas, how much of it is seen, and how much is cut off before."""
    if before:
        seen = min(length, centre)
        return centre - seen, seen, length - seen
    return centre, min(length, canvas - centre), 0
