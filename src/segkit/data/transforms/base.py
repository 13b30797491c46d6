"""Geometric transforms are planned on views, so that a chain of them is computed only where it is seen."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import cv2
import numpy as np

from segkit.data.views import Pixels, View, read_all
from segkit.types import Sample

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}
"""Name in the config -> OpenCV's number."""


@dataclass(frozen=True)
class Frame:
    """A sample whose pixels are not computed yet."""

    image: View
    mask: View | None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.size


def frame_of(sample: Sample) -> Frame:
    """The frame that shows a sample as it is."""
    return Frame(Pixels(sample.image), None if sample.mask is None else Pixels(sample.mask))


def render(frame: Frame, sample: Sample) -> Sample:
    """Computes the pixels of a frame that came from ``sample``."""
    image = np.ascontiguousarray(read_all(frame.image))
    mask = None if frame.mask is None else np.ascontiguousarray(read_all(frame.mask))
    return replace(sample, image=image, mask=mask)


class Geometric(ABC):
    """A transform that moves pixels: :meth:`plan` draws what to do, and views do it later."""

    @abstractmethod
    def plan(self, frame: Frame, rng: np.random.Generator) -> Frame:
        """The frame after this step; all randomness comes from ``rng``."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return render(self.plan(frame_of(sample), rng), sample)
