"""Normalisation of the channels; in training it runs on the device, see :mod:`segkit.data.preprocess`."""

from dataclasses import replace

import numpy as np

from segkit.config.transforms import NormalizeConfig, ToTensorConfig
from segkit.data.io import Array
from segkit.registry import TRANSFORMS
from segkit.types import Sample


@TRANSFORMS.register(NormalizeConfig)
class Normalize:
    """(x - mean) / std for each channel, to float32. For step-by-step use; loaders leave it to the preprocessor."""

    def __init__(self, config: NormalizeConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        mean, std = np.array(self.config.mean), np.array(self.config.std)
        image: Array = (sample.image.astype(np.float32) - mean.astype(np.float32)) * (1 / std).astype(np.float32)
        return replace(sample, image=image)


@TRANSFORMS.register(ToTensorConfig)
class ToTensor:
    """The pixels as float32. For step-by-step use; loaders hand over tensors, and the preprocessor makes them float."""

    def __init__(self, config: ToTensorConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return replace(sample, image=sample.image.astype(np.float32))
