"""Changes of the grey levels by a rule that has no randomness."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.config.photometric import AdjustGammaConfig, CLAHEConfig, RerangeConfig, RGB2GrayConfig
from segkit.data.io import Array
from segkit.data.transforms.base import per_channel, require_depth, require_rgb
from segkit.registry import TRANSFORMS
from segkit.types import Sample


@TRANSFORMS.register(AdjustGammaConfig)
class AdjustGamma:
    """Raises values, as shares of the largest possible one, to the power of 1 / gamma."""

    def __init__(self, config: AdjustGammaConfig) -> None:
        self.tables = {np.dtype(kind): _gamma_table(config.gamma, kind) for kind in (np.uint8, np.uint16)}

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        require_depth("AdjustGamma", sample, *self.tables)
        table = self.tables[sample.image.dtype]
        pixels: Array = sample.image
        changed: Array = cv2.LUT(pixels, table) if len(table) == 256 else table.take(pixels)
        return replace(sample, image=changed.reshape(pixels.shape))  # OpenCV drops the axis of a single channel


def _gamma_table(gamma: float, kind: type[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    top = np.iinfo(kind).max
    return ((np.arange(top + 1) / top) ** (1 / gamma) * top).astype(kind)  # cut off, as the reference does


@TRANSFORMS.register(CLAHEConfig)
class CLAHE:
    """Equalises the histogram of each channel, tile by tile."""

    def __init__(self, config: CLAHEConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        require_depth("CLAHE", sample, np.uint8, np.uint16)
        # Made at each call: OpenCV's object cannot be sent to a spawned worker.
        equalise = cv2.createCLAHE(self.config.clip_limit, self.config.tile_grid_size)
        return replace(sample, image=per_channel(sample.image, equalise.apply))


@TRANSFORMS.register(RerangeConfig)
class Rerange:
    """Maps the least value of an image to one number and the greatest to another, to float32.

    An image of one value becomes the lower number.
    """

    def __init__(self, config: RerangeConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        low, high = float(sample.image.min()), float(sample.image.max())
        step = (self.config.max_value - self.config.min_value) / (high - low) if high > low else 0.0
        image = (sample.image.astype(np.float32) - np.float32(low)) * np.float32(step)
        return replace(sample, image=image + np.float32(self.config.min_value))


@TRANSFORMS.register(RGB2GrayConfig)
class RGB2Gray:
    """The weighted sum of red, green and blue, repeated over the channels, as float32."""

    def __init__(self, config: RGB2GrayConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        require_rgb("RGB2Gray", sample)
        gray = sample.image.astype(np.float32) @ np.array(self.config.weights, np.float32)  # (H, W)
        return replace(sample, image=np.repeat(gray[:, :, None], self.config.out_channels or 3, axis=2))
