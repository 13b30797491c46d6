"""Generated scenes."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from segkit.config.component import component
from segkit.config.datasets.base import DatasetConfig


@component
class ShapesConfig(DatasetConfig):
    """Procedural scenes: textured background, occluding shapes, clutter and noise, made from (seed, index)."""

    type: Literal["Shapes"] = "Shapes"
    image_size: tuple[PositiveInt, PositiveInt] = (96, 128)
    """(height, width)."""
    num_train: PositiveInt = 512
    """Training images."""
    num_val: PositiveInt = 64
    """Validation images, from another part of the seed's sequence."""
    seed: NonNegativeInt = 0
    """Of the scenes; the same seed gives the same images on every machine."""
