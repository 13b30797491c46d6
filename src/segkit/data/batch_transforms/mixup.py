"""Means of two images (Zhang et al., 2018, arXiv:1710.09412)."""

from dataclasses import replace

import torch
from torch import Tensor

from segkit.config.batch_transforms import MixUpConfig
from segkit.data.batch_transforms.base import Mixture, Place, neighbours
from segkit.registry import BATCH_TRANSFORMS


@BATCH_TRANSFORMS.register(MixUpConfig)
class MixUp:
    """Weighs each image against its neighbour, all of a step alike, as in the authors' code.

    The labels are not mixed but used one after the other, so that any loss can be: the loss of the own labels counts by
    the weight, that of the neighbour's by the rest. Pixels ignored in one image still count in the other.
    """

    def __init__(self, config: MixUpConfig) -> None:
        self.config = config

    def __call__(self, mixture: Mixture, place: Place) -> Mixture:
        rng = place.rng_of_step()
        if rng.random() >= self.config.prob:
            return mixture
        share = float(rng.beta(self.config.alpha, self.config.alpha))

        def change(images: Tensor) -> Tensor:
            return torch.lerp(neighbours(images), images, share)

        return replace(mixture, share=share, changes=(*mixture.changes, change))
