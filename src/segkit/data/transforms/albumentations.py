"""Transforms of the albumentations library."""

import importlib
import os
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from segkit.config.spelling import hint
from segkit.config.transforms import AlbumentationsWrapperConfig
from segkit.errors import ConfigError
from segkit.registry import TRANSFORMS
from segkit.types import Sample


@TRANSFORMS.register(AlbumentationsWrapperConfig)
class AlbumentationsWrapper:
    """One transform of albumentations, seeded from the sample's generator."""

    def __init__(self, config: AlbumentationsWrapperConfig) -> None:
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import asks the network for a newer version
        library: Any = importlib.import_module("albumentations")  # slow to import, so only where it is used
        cls = getattr(library, config.name, None)
        if not (isinstance(cls, type) and issubclass(cls, library.BasicTransform)):
            names = [
                n for n, c in vars(library).items() if isinstance(c, type) and issubclass(c, library.BasicTransform)
            ]
            raise ConfigError(
                f"AlbumentationsWrapper: albumentations has no transform {config.name!r}{hint(config.name, names)}"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # unknown arguments only warn there; they are an error below
                transform = cls(**config.kwargs)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"AlbumentationsWrapper: {config.name}: {error}") from None
        if unknown := getattr(transform, "invalid_args", None):
            raise ConfigError(f"AlbumentationsWrapper: {config.name} has no argument {', '.join(unknown)}")
        self.transform = library.Compose([transform])

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        self.transform.set_random_seed(int(rng.integers(2**31)))
        if sample.mask is None:
            return replace(sample, image=self.transform(image=sample.image)["image"])
        changed = self.transform(image=sample.image, mask=sample.mask)
        return replace(sample, image=changed["image"], mask=changed["mask"])
