"""The records that the rooms hand to each other, and the protocols they keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

IGNORE_INDEX = 255
"""The label of pixels that count neither in a loss nor in a metric; set where labels are read."""


class FeatureSpec(NamedTuple):
    """What a backbone says of one feature map: its channels, and input pixels per cell."""

    channels: int
    stride: int


@dataclass(frozen=True)
class Sample:
    """One image with its labels, on the host.

    Attributes:
        name: the sample's id, unique in its split; output files are named by it.
        image: (H, W, C) uint8 or uint16 as read, float32 after steps that say so; RGB when C is 3.
        mask: (H, W) uint8 class ids or ``IGNORE_INDEX``; None where a split has no labels.
        path: the image file, for messages; None for generated data.
        size: (height, width) as read, before any transform; taken from the image where it is not given.
        edges: (H, W) uint8: 1 where classes meet, 0 elsewhere; None unless an EdgeExtractor made them.
    """

    name: str
    image: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
    mask: NDArray[np.uint8] | None
    path: Path | None = None
    size: tuple[int, int] = (0, 0)
    edges: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.size == (0, 0):
            object.__setattr__(self, "size", self.image.shape[:2])


@dataclass(frozen=True)
class Batch:
    """Samples of one step, padded to a common size.

    Attributes:
        images: (N, C, H, W) uint8 or float32, not yet normalised.
        masks: (N, H, W) uint8 class ids, ``IGNORE_INDEX`` where padded; None without labels.
        boxes: (N, 4) int64 rows (top, left, height, width): where the image lies in its padded frame.
        names: N sample ids.
        sizes: N pairs (height, width) of the images as read.
        edges: (N, H, W) uint8: 1 where classes meet, 0 elsewhere, ``IGNORE_INDEX`` where padded; None without them.
        samples: numbers of the N samples in their split; empty where the images come from elsewhere.
    """

    images: Tensor
    masks: Tensor | None
    boxes: Tensor
    names: Sequence[str]
    sizes: Sequence[tuple[int, int]]
    edges: Tensor | None = None
    samples: Sequence[int] = ()


class StepInfo(NamedTuple):
    """What a head may know of the training step it is in.

    Attributes:
        target: (N, H, W) int64 class ids or ``IGNORE_INDEX``, at the size of the images.
        epoch: the pass over the data, counted from 1.
        learning_rate: the schedule's rate of this step, before any multiplier.
        edges: (N, H, W) uint8 of an EdgeExtractor among the transforms, None without one.
    """

    target: Tensor
    epoch: int = 1
    learning_rate: float = 0.0
    edges: Tensor | None = None


@dataclass(frozen=True)
class ClassInfo:
    """Names and colours of the classes.

    Attributes:
        names: K class names; their order is the class id.
        palette: K RGB triples, 0..255.
        inverse: class id -> value in the data set's own label files, for submissions.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    inverse: Mapping[int, int] = field(default_factory=dict)


class Dataset(Protocol):
    """A split of labelled images, read by index; transforms are applied elsewhere."""

    info: ClassInfo

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class Transform(Protocol):
    """A step of the host's pipeline; all randomness comes from ``rng``."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample: ...
