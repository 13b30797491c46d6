"""Gaussian blurs."""

from dataclasses import replace

import cv2
import numpy as np
from PIL import Image, ImageFilter

from segkit.config.photometric import PILRandomGaussianBlurConfig, RandomGaussianBlurConfig
from segkit.data.io import Array
from segkit.data.transforms.base import per_channel, require_depth
from segkit.registry import TRANSFORMS
from segkit.types import Sample


@TRANSFORMS.register(RandomGaussianBlurConfig)
class RandomGaussianBlur:
    """Blurs with a kernel of fixed size, whose width is random."""

    def __init__(self, config: RandomGaussianBlurConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.config.prob:
            return sample
        sigma, side = rng.uniform(*self.config.sigma), self.config.kernel_size
        if not sigma:  # OpenCV would choose a width by itself
            return sample
        image: Array = cv2.GaussianBlur(sample.image, (side, side), sigma)
        return replace(sample, image=image.reshape(sample.image.shape))  # OpenCV drops the axis of a single channel


@TRANSFORMS.register(PILRandomGaussianBlurConfig)
class PILRandomGaussianBlur:
    """Blurs by Pillow's three box filters, whose width is random."""

    def __init__(self, config: PILRandomGaussianBlurConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.config.prob:
            return sample
        require_depth("PILRandomGaussianBlur", sample, np.uint8)
        blur = ImageFilter.GaussianBlur(rng.uniform(*self.config.radius))
        if sample.image.shape[2] == 3:
            return replace(sample, image=np.array(Image.fromarray(sample.image).filter(blur)))
        return replace(sample, image=per_channel(sample.image, lambda p: np.array(Image.fromarray(p).filter(blur))))
