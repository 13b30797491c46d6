"""A component of a user's own: a transform that forgets labels."""

from dataclasses import replace
from typing import Literal

import numpy as np

from segkit.config.component import component
from segkit.config.transforms import TransformConfig
from segkit.registry import TRANSFORMS
from segkit.types import IGNORE_INDEX, Sample


@component
class ForgetLabelsConfig(TransformConfig):
    """Ignores most labels of half of the images."""

    type: Literal["ForgetLabels"] = "ForgetLabels"
    keep: float = 0.1
    """Share of an image's columns that keeps its labels."""
    prob: float = 0.5
    """How often."""


@TRANSFORMS.register(ForgetLabelsConfig)
class ForgetLabels:
    """Ignores most labels of half of the images."""

    def __init__(self, config: ForgetLabelsConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if sample.mask is None or rng.random() >= self.config.prob:
            return sample
        mask = sample.mask.copy()
        mask[:, round(self.config.keep * mask.shape[1]) :] = IGNORE_INDEX
        return replace(sample, mask=mask)
