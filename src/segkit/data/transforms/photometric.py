"""Brightness, contrast, saturation and hue, exactly as in floats but on uint8."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.config.photometric import PhotoMetricDistortionConfig
from segkit.data.io import Array
from segkit.data.transforms.base import require_depth, require_rgb
from segkit.registry import TRANSFORMS
from segkit.types import Sample

Table = NDArray[np.uint8]

_LEVELS = np.arange(256, dtype=np.float32)


class Line(NamedTuple):
    """x * factor + offset, cut to 0 to 255 and its fraction dropped, as integers of the reference are."""

    factor: float
    offset: float

    def table(self) -> Table:
        """The result for each grey level."""
        values = _LEVELS * np.float32(self.factor) + np.float32(self.offset)
        return np.clip(values, 0, 255).astype(np.uint8)

    def __call__(self, pixels: Array) -> Array:
        """The change of (H, W) or (H, W, C) uint8.

        Vectorised arithmetic takes a third of a look-up's time, but rounds where a table drops the fraction. It gives
        the same if all values are moved down by half a level, and up again by less than any is short of the next.
        """
        exact = np.arange(256) * self.factor + self.offset
        room = 1 - (exact[(exact >= 0) & (exact < 256)] % 1).max(initial=0)
        if room < _LEAST_ROOM or (self.factor != 1 and self.offset < 0):  # OpenCV takes the absolute value
            return cv2.LUT(pixels, self.table())
        flat = pixels.reshape(len(pixels), -1)
        if self.factor == 1:
            shift = math.floor(self.offset)
            change: Any = cv2.add if shift >= 0 else cv2.subtract
            changed: Array = change(flat, float(abs(shift)))
        else:
            changed = cv2.convertScaleAbs(flat, alpha=self.factor, beta=self.offset + room / 2 - 0.5)
        return changed.reshape(pixels.shape)


_LEAST_ROOM = 2e-4
"""Of a grey level: float32 is off by a tenth of this."""


@TRANSFORMS.register(PhotoMetricDistortionConfig)
class PhotoMetricDistortion:
    """Changes brightness, contrast, saturation and hue of an RGB image, each with probability 1/2.

    Contrast comes before or after saturation and hue, by chance; saturation and hue share one conversion to HSV.
    """

    def __init__(self, config: PhotoMetricDistortionConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        require_rgb("PhotoMetricDistortion", sample)
        require_depth("PhotoMetricDistortion", sample, np.uint8)
        before, hue, saturation, after = self._draw(rng)
        image = _changed(sample.image, before)
        if hue is not None or saturation is not None:
            planes = list(cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)))
            if hue is not None:
                planes[0] = cv2.LUT(planes[0], _hue_table(hue))
            if saturation is not None:
                planes[1] = Line(saturation, 0.0)(planes[1])
            image = cv2.cvtColor(cv2.merge(planes), cv2.COLOR_HSV2RGB)
        return replace(sample, image=_changed(image, after))

    def _draw(self, rng: np.random.Generator) -> tuple[list[Line], int | None, float | None, list[Line]]:
        """Changes of the grey levels before HSV, shift of the hue, factor of the saturation, changes after HSV."""
        config = self.config
        levels: tuple[list[Line], list[Line]] = ([], [])
        hue = saturation = None
        if rng.integers(2):
            levels[0].append(Line(1.0, rng.uniform(-config.brightness_delta, config.brightness_delta)))
        contrast_first = bool(rng.integers(2))
        if contrast_first and rng.integers(2):
            levels[0].append(Line(rng.uniform(*config.contrast_range), 0.0))
        if rng.integers(2):
            saturation = rng.uniform(*config.saturation_range)
        if rng.integers(2):
            hue = int(rng.integers(-config.hue_delta, config.hue_delta, endpoint=True))
        if not contrast_first and rng.integers(2):
            levels[1].append(Line(rng.uniform(*config.contrast_range), 0.0))
        return levels[0], hue, saturation, levels[1]


def _changed(image: Array, lines: Sequence[Line]) -> Array:
    for line in lines:
        image = line(image)
    return image


def _hue_table(shift: int) -> Table:
    return ((np.arange(256) + shift) % 180).astype(np.uint8)
