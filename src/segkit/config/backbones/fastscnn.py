"""Fast-SCNN."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from segkit.config.backbones.base import OwnBackboneConfig, Three
from segkit.config.component import component


@component
class FastSCNNConfig(OwnBackboneConfig):
    """A shared shallow stem for detail and global context (Poudel et al., 2019, arXiv:1902.04502)."""

    type: Literal["FastSCNN"] = "FastSCNN"
    stem_channels: Three = (32, 48, 64)
    """Width of each layer of the stem; the last is the first map's."""
    block_channels: Three = (64, 96, 128)
    """Width of each group of three inverted residuals."""
    block_strides: Annotated[tuple[Literal[1, 2], ...], Field(min_length=3, max_length=3)] = (2, 2, 1)
    """Stride of each group."""
    global_channels: PositiveInt = 128
    """Width of the second map, the global context."""
    channels: PositiveInt = 128
    """Width of the third map, the fusion; divides ``global_channels``."""
    align_corners: bool = False
    """How pooled and coarse maps are resized."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Field(min_length=1)] = (0, 1, 2)
    """Maps to return: 0 is the stem's, 1 the global context, 2 their fusion."""

    @model_validator(mode="after")
    def _fusion_fits(self) -> Self:
        if self.global_channels % self.channels:
            raise ValueError(f"channels must divide global_channels, {self.global_channels} (got {self.channels})")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        coarse = 8 * math.prod(self.block_strides)
        return tuple((8, coarse, 8)[i] for i in self.out_indices)

    @property
    def pools_to_one_cell(self) -> bool:
        return max(self.out_indices) > 0
