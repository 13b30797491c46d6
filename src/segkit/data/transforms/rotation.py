"""Turns by whole degrees."""

import cv2
import numpy as np

from segkit.config.transforms import RandomRotationConfig
from segkit.data.io import Array
from segkit.data.transforms.base import INTERPOLATIONS, Frame, Geometric
from segkit.data.views import Warped
from segkit.registry import TRANSFORMS
from segkit.types import IGNORE_INDEX


@TRANSFORMS.register(RandomRotationConfig)
class RandomRotation(Geometric):
    """Turns about the centre, counter-clockwise for positive angles; the canvas keeps its size."""

    def __init__(self, config: RandomRotationConfig) -> None:
        self.config = config

    def plan(self, frame: Frame, rng: np.random.Generator) -> Frame:
        if rng.random() >= self.config.prob:
            return frame
        angle = int(rng.integers(-self.config.max_angle, self.config.max_angle, endpoint=True))
        return rotated(frame, angle, self.config)


def rotated(frame: Frame, angle: float, config: RandomRotationConfig) -> Frame:
    """The frame turned by ``angle`` degrees."""
    height, width = frame.size
    matrix: Array = cv2.invertAffineTransform(cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0))
    image = Warped(frame.image, matrix, INTERPOLATIONS[config.interpolation], config.fill)
    mask = None if frame.mask is None else Warped(frame.mask, matrix, cv2.INTER_NEAREST, IGNORE_INDEX)
    return Frame(image, mask)
