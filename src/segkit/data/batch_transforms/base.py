"""Mixing the images of a training batch, the same for any number of processes and after any resume.

Images are mixed in pairs, each with its neighbour in the step. A batch is shuffled already, so a neighbour is as random
as any other; and a pair is always in one process and one part, so that cutting a step up changes nothing. What is drawn
depends on the seed, the step and the image's place in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from segkit.errors import ConfigError

_IMAGES, _STEPS = 3, 4
"""Streams of random numbers, apart from those of samples and orders."""


class Place(NamedTuple):
    """Where a batch stands: what its random numbers are drawn from.

    Attributes:
        seed: of the training.
        step: counted from the training's beginning.
        first: the first image's place among those of the step, over all parts and processes.
        position: of the transform among several.
    """

    seed: int
    step: int
    first: int
    position: int = 0

    def rng_of_step(self) -> np.random.Generator:
        """The same for all images of the step."""
        return _rng((self.seed, self.step, self.position), _STEPS)

    def rng_of_image(self, index: int) -> np.random.Generator:
        """Of one image of the batch."""
        return _rng((self.seed, self.step, self.position, self.first + index), _IMAGES)


def _rng(key: tuple[int, ...], stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(key, spawn_key=(stream,)))


@dataclass(frozen=True)
class Mixture:
    """What becomes of a batch; its images are mixed later, when their turn comes.

    Attributes:
        target: (N, H, W) int64 labels of the mixed images; N is even.
        share: of the loss of these labels, where those of the neighbours count too; None where they do not.
        changes: what makes the mixed images, in order.
    """

    target: Tensor
    share: float | None = None
    changes: tuple[Callable[[Tensor], Tensor], ...] = ()

    def images(self, images: Tensor) -> Tensor:
        """(N, C, H, W), mixed; the memory order stays."""
        order = (
            torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.preserve_format
        )
        for change in self.changes:
            images = change(images)
        return images.to(memory_format=order) if self.changes else images


class BatchTransform(Protocol):
    """A step of the mixing."""

    def __call__(self, mixture: Mixture, place: Place) -> Mixture: ...


class BatchMixer:
    """Applies batch transforms in order.

    Args:
        transforms: the steps.
        seed: of the training.
        rank: this process.
        world_size: number of processes.
    """

    def __init__(self, transforms: Sequence[BatchTransform], *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.transforms = tuple(transforms)
        self.seed = seed
        self.rank = rank
        self.world_size = world_size

    def __call__(self, target: Tensor, *, step: int, part: int = 0) -> Mixture:
        """How one part of a step is mixed; ``target`` is (N, H, W) int64.

        Raises:
            ConfigError: N is odd.
        """
        mixture = Mixture(target)
        count = len(target)
        if self.transforms and count % 2:
            text = "batch transforms mix images in pairs, so each process needs an even number of images a part"
            raise ConfigError(f"dataset.batch_transforms: {text} (got {count}); change dataloader.total_batch_size")
        first = (part * self.world_size + self.rank) * count
        for position, transform in enumerate(self.transforms):
            mixture = transform(mixture, Place(self.seed, step, first, position))
        return mixture


def neighbours(x: Tensor) -> Tensor:
    """For each item of a batch the other one of its pair."""
    return x[torch.arange(len(x), device=x.device) ^ 1]
