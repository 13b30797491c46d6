"""Padding to a size; in training it runs on the device, see :mod:`segkit.data.preprocess`."""

from dataclasses import replace

import numpy as np

from segkit.config.transforms import PaddingConfig
from segkit.data.io import Array
from segkit.registry import TRANSFORMS
from segkit.types import IGNORE_INDEX, Sample


@TRANSFORMS.register(PaddingConfig)
class Padding:
    """Puts the image in the middle of a larger frame. For step-by-step use; loaders pad whole batches.

    A side that is longer than the frame's keeps its length.
    """

    def __init__(self, config: PaddingConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        image = pad(sample.image, self.config.output_size, self.config.fill)
        mask = None if sample.mask is None else pad(sample.mask, self.config.output_size, IGNORE_INDEX)
        return replace(sample, image=image, mask=mask)


def pad(pixels: Array, size: tuple[int, int], fill: float) -> Array:
    """(H, W) or (H, W, C) in the middle of (at least) ``size``; an odd pixel goes below or to the right."""
    height, width = pixels.shape[:2]
    framed = np.full((max(size[0], height), max(size[1], width), *pixels.shape[2:]), fill, pixels.dtype)
    top, left = (framed.shape[0] - height) // 2, (framed.shape[1] - width) // 2
    framed[top : top + height, left : left + width] = pixels
    return framed
