"""Blanked rectangles (DeVries and Taylor, 2017, arXiv:1708.04552)."""

from dataclasses import replace

import numpy as np

from segkit.config.transforms import RandomCutOutConfig
from segkit.registry import TRANSFORMS
from segkit.types import IGNORE_INDEX, Sample


@TRANSFORMS.register(RandomCutOutConfig)
class RandomCutOut:
    """Blanks rectangles of the image and ignores their labels; what lies over the border is cut off."""

    def __init__(self, config: RandomCutOutConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.config.prob:
            return sample
        image = sample.image.copy()
        mask = None if sample.mask is None else sample.mask.copy()
        height, width = image.shape[:2]
        for _ in range(rng.integers(*self.config.n_holes, endpoint=True)):
            left, top = int(rng.integers(width)), int(rng.integers(height))
            hole_width, hole_height = self._size(width, height, rng)
            window = np.s_[top : top + hole_height, left : left + hole_width]
            image[window] = np.resize(self.config.fill, image.shape[2])
            if mask is not None:
                mask[window] = IGNORE_INDEX
        return replace(sample, image=image, mask=mask)

    def _size(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int]:
        """(width, height) of one rectangle."""
        if self.config.cutout_shape:
            return self.config.cutout_shape[int(rng.integers(len(self.config.cutout_shape)))]
        share = self.config.cutout_ratio[int(rng.integers(len(self.config.cutout_ratio)))]
        return int(share[0] * width), int(share[1] * height)
