"""Brightness, contrast, saturation and hue, as look-up tables on uint8."""

from dataclasses import replace

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


@TRANSFORMS.register(PhotoMetricDistortionConfig)
class PhotoMetricDistortion:
    """Changes brightness, contrast, saturation and hue of an RGB image, each with probability 1/2.

    Contrast comes before or after saturation and hue, by chance. Brightness and contrast map grey level to grey
    level, so their tables are merged where nothing lies between; saturation and hue share one conversion to HSV.
    """

    def __init__(self, config: PhotoMetricDistortionConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        require_rgb("PhotoMetricDistortion", sample)
        require_depth("PhotoMetricDistortion", sample, np.uint8)
        before, hue, saturation, after = self._draw(rng)
        if hue is None and saturation is None:
            return replace(sample, image=_look_up(sample.image, _merged(before, after)))
        planes = list(cv2.split(cv2.cvtColor(_look_up(sample.image, before), cv2.COLOR_RGB2HSV)))
        planes[:2] = _look_up(planes[0], hue), _look_up(planes[1], saturation)
        image = cv2.cvtColor(cv2.merge(planes), cv2.COLOR_HSV2RGB)
        return replace(sample, image=_look_up(image, after))

    def _draw(self, rng: np.random.Generator) -> tuple[Table | None, ...]:
        """Tables of the grey levels before HSV, of hue, of saturation, and of the grey levels after HSV."""
        config = self.config
        bright = contrast = hue = saturation = None
        if rng.integers(2):
            bright = _table(_LEVELS + rng.uniform(-config.brightness_delta, config.brightness_delta))
        contrast_first = bool(rng.integers(2))
        if contrast_first and rng.integers(2):
            contrast = _table(_LEVELS * rng.uniform(*config.contrast_range))
        if rng.integers(2):
            saturation = _table(_LEVELS * rng.uniform(*config.saturation_range))
        if rng.integers(2):
            hue = _hue_table(int(rng.integers(-config.hue_delta, config.hue_delta, endpoint=True)))
        if not contrast_first and rng.integers(2):
            contrast = _table(_LEVELS * rng.uniform(*config.contrast_range))
        if contrast_first:
            return _merged(bright, contrast), hue, saturation, None
        return bright, hue, saturation, contrast


def _table(levels: NDArray[np.float32]) -> Table:
    return np.clip(levels, 0, 255).astype(np.uint8)  # cut off, as integers of the reference are


def _hue_table(shift: int) -> Table:
    return ((np.arange(256) + shift) % 180).astype(np.uint8)


def _merged(first: Table | None, second: Table | None) -> Table | None:
    if first is None or second is None:
        return second if first is None else first
    return second[first]


def _look_up(image: Array, table: Table | None) -> Array:
    return image if table is None else cv2.LUT(image, table)
