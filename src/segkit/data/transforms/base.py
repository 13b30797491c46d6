"""Geometric transforms are planned on views, so that a chain of them is computed only where it is seen."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np

from segkit.data.io import Array
from segkit.data.views import Pixels, View, read_all
from segkit.errors import ConfigError
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


class Opened(NamedTuple):
    """A sample whose pixels may be read later.

    Attributes:
        sample: all but the image, which is empty.
        frame: its image and labels.
    """

    sample: Sample
    frame: Frame


@runtime_checkable
class Opens(Protocol):
    """A data set that can leave the reading of an image to those who know how much of it is needed."""

    def open(self, index: int) -> Opened: ...


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


class Mixing(ABC):
    """A transform that joins a sample with others, which came through the steps before it likewise.

    Attributes:
        others: how many further samples one mixture takes.
    """

    others: int

    @abstractmethod
    def acts(self, rng: np.random.Generator) -> bool:
        """Draws whether to mix at all, before further samples are read."""

    @abstractmethod
    def mix(self, frames: Sequence[Frame], rng: np.random.Generator) -> Frame:
        """The joined frame; the first of ``frames`` is the sample's own."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Mixes a sample with itself, where there are no others."""
        if not self.acts(rng):
            return sample
        return render(self.mix([frame_of(sample)] * (self.others + 1), rng), sample)


def per_channel(image: Array, change: Callable[[Array], Array]) -> Array:
    """Applies a function of (H, W) to each channel of (H, W, C)."""
    return np.stack([change(np.ascontiguousarray(image[:, :, i])) for i in range(image.shape[2])], axis=2)


def require_depth(name: str, sample: Sample, *kinds: type | np.dtype) -> None:
    """Refuses images whose values a transform cannot change.

    Raises:
        ConfigError: the image is of none of ``kinds``; names transform and sample.
    """
    if sample.image.dtype not in kinds:
        allowed = " or ".join(str(np.dtype(kind)) for kind in kinds)
        text = f"{name} works on {allowed} images; {sample.name} is {sample.image.dtype} here"
        raise ConfigError(f"{text}; take {name} out of the transforms, or store the images so")


def require_rgb(name: str, sample: Sample) -> None:
    """Refuses images that are not of three channels.

    Raises:
        ConfigError: names transform and sample.
    """
    if sample.image.shape[2] != 3:
        text = f"{name} works on RGB images; {sample.name} has {sample.image.shape[2]} channels here"
        raise ConfigError(f"{text}; take {name} out of the transforms")
