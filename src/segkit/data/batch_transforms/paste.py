"""Parts of the other image, put over the own one together with their labels."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from segkit.config.batch_transforms import ClassMixConfig, CutMixConfig
from segkit.data.batch_transforms.base import Mixture, Place, neighbours
from segkit.data.preprocess import inside
from segkit.ops.labels import classes_present
from segkit.registry import BATCH_TRANSFORMS
from segkit.types import IGNORE_INDEX


@BATCH_TRANSFORMS.register(CutMixConfig)
class CutMix:
    """Puts a rectangle of the other image at the same place of the own one; ignored pixels come along."""

    def __init__(self, config: CutMixConfig) -> None:
        self.config = config

    def __call__(self, mixture: Mixture, place: Place) -> Mixture:
        height, width = mixture.target.shape[1:]
        boxes = [self._box(place.rng_of_image(i), height, width) for i in range(len(mixture.target))]
        where = inside(torch.tensor(boxes).to(mixture.target.device, non_blocking=True), height, width)
        return pasted(mixture, where)

    def _box(self, rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
        """(top, left, height, width); the part that lies over the border is cut off."""
        if rng.random() >= self.config.prob:
            return 0, 0, 0, 0
        side = np.sqrt(1 - rng.beta(self.config.alpha, self.config.alpha))
        rows, cols = _stretch(rng, height, side), _stretch(rng, width, side)
        return rows[0], cols[0], rows[1] - rows[0], cols[1] - cols[0]


def _stretch(rng: np.random.Generator, length: int, side: float) -> tuple[int, int]:
    """Begin and end of a share of a length around a random middle."""
    middle, half = int(rng.integers(length)), int(length * side) // 2
    return max(middle - half, 0), min(middle + half, length)


@BATCH_TRANSFORMS.register(ClassMixConfig)
class ClassMix:
    """Puts the pixels of some classes of the other image over the own one; ignored pixels are no class."""

    def __init__(self, config: ClassMixConfig) -> None:
        self.config = config

    def __call__(self, mixture: Mixture, place: Place) -> Mixture:
        others = neighbours(mixture.target)
        draws = [place.rng_of_image(i) for i in range(len(others))]
        shares = [self.config.share * (rng.random() < self.config.prob) for rng in draws]
        ranks = torch.from_numpy(np.stack([rng.permutation(IGNORE_INDEX) for rng in draws]))
        chosen = _lowest(ranks.to(others.device), classes_present(others, IGNORE_INDEX), torch.tensor(shares))
        where = chosen.gather(1, others.flatten(1)).view(len(others), 1, *others.shape[1:])
        return pasted(mixture, where)


def _lowest(ranks: Tensor, present: Tensor, shares: Tensor) -> Tensor:
    """The classes of lowest rank among those present, (N, K) each, as (N, K + 1) bool; without waiting for a GPU."""
    places = ranks.masked_fill(~present, ranks.shape[1]).argsort(1).argsort(1)
    counts = (present.sum(1) * shares.to(ranks.device)).floor()
    chosen = (places < counts[:, None]) & present
    return torch.cat([chosen, torch.zeros_like(chosen[:, :1])], dim=1)  # the last is what is ignored


def pasted(mixture: Mixture, where: Tensor) -> Mixture:
    """The mixture with the neighbours' pixels ``where`` (N, 1, H, W) says."""
    target = torch.where(where[:, 0], neighbours(mixture.target), mixture.target)

    def change(images: Tensor) -> Tensor:
        return torch.where(where, neighbours(images), images)

    return replace(mixture, target=target, changes=(*mixture.changes, change))
