"""Left and right exchanged."""

import numpy as np

from segkit.config.transforms import RandomFlipConfig
from segkit.data.transforms.base import Frame, Geometric
from segkit.data.views import Mirrored, Relabelled
from segkit.registry import TRANSFORMS


@TRANSFORMS.register(RandomFlipConfig)
class RandomFlip(Geometric):
    """Mirrors left to right, exchanging the classes that name a side (left arm, right arm)."""

    def __init__(self, config: RandomFlipConfig) -> None:
        self.config = config
        self.relabel = np.arange(256, dtype=np.uint8)
        for left, right in config.swaps or ():
            self.relabel[[left, right]] = right, left

    def plan(self, frame: Frame, rng: np.random.Generator) -> Frame:
        if rng.random() >= self.config.prob:
            return frame
        if frame.mask is None:
            return Frame(Mirrored(frame.image), None)
        mask = Relabelled(frame.mask, self.relabel) if self.config.swaps else frame.mask
        return Frame(Mirrored(frame.image), Mirrored(mask))
