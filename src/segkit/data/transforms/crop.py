"""A random window of the image."""

import cv2
import numpy as np

from segkit.config.transforms import RandomCropConfig
from segkit.data.io import Array
from segkit.data.transforms.base import Frame, Geometric
from segkit.data.views import Box, Cropped, Pixels, View
from segkit.registry import TRANSFORMS
from segkit.types import IGNORE_INDEX

_TRIES = 10
_EVERY = 8


@TRANSFORMS.register(RandomCropConfig)
class RandomCrop(Geometric):
    """Cuts a window that no class fills, or the last of ten tries; a smaller image stays whole."""

    def __init__(self, config: RandomCropConfig) -> None:
        self.config = config

    def plan(self, frame: Frame, rng: np.random.Generator) -> Frame:
        height, width = (min(c, s) for c, s in zip(self.config.crop_size, frame.size, strict=True))
        if (height, width) == frame.size:
            return frame
        tested = frame.mask is not None and self.config.one_category_max_ratio is not None
        for _ in range(_TRIES if tested else 1):
            top = int(rng.integers(frame.size[0] - height + 1))
            left = int(rng.integers(frame.size[1] - width + 1))
            box = Box(top, left, height, width)
            mask = None if frame.mask is None else self._read(frame.mask, box)
            if mask is None or not tested or self._is_mixed(mask.array):
                break
        return Frame(Cropped(frame.image, box), mask)

    def _read(self, mask: View, box: Box) -> Pixels:
        return Pixels(mask.read(box))  # needed for the test, and kept: the result shows these very pixels

    def _is_mixed(self, mask: Array) -> bool:
        """Whether no class covers the limit's share of the labelled pixels."""
        limit = self.config.one_category_max_ratio
        if limit is None:
            return True
        # The commonest class of some rows is counted in all. Mostly that decides: the others share what is left.
        guess = int(_histogram(mask[::_EVERY]).argmax())
        labelled = mask.size - _count(mask, IGNORE_INDEX)
        most = _count(mask, guess)
        if most < limit * labelled and labelled - most >= limit * labelled:
            most = int(_histogram(mask).max())
        return bool(most < limit * labelled)


def _histogram(mask: Array) -> Array:
    """Pixels of each class, the ignored ones left out: (256,)."""
    counts: Array = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel()  # OpenCV 4 has a second axis
    counts[IGNORE_INDEX] = 0
    return counts


def _count(mask: Array, value: int) -> int:
    return cv2.countNonZero(cv2.inRange(mask, value, value))
