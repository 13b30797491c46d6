"""CGNet."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from segkit.config.backbones.base import FixedStrides, OwnBackboneConfig, PerLevel, Three
from segkit.config.component import component


@component
class CGNetConfig(FixedStrides, OwnBackboneConfig):
    """Local features weighed by their surroundings and the whole image (Wu et al., 2018, arXiv:1811.08201)."""

    type: Literal["CGNet"] = "CGNet"
    channels: Three = (32, 64, 128)
    """Width of the stem and of both levels; even."""
    num_blocks: PerLevel = (3, 21)
    """Blocks of each level."""
    dilations: PerLevel = (2, 4)
    """Dilation of the convolution of the surroundings, in each level."""
    reductions: PerLevel = (8, 16)
    """Divides the channels inside the gate, in each level."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Field(min_length=1)] = (0, 1, 2)
    """Maps to return."""

    STRIDES: ClassVar = (2, 4, 8)

    @model_validator(mode="after")
    def _blocks_fit(self) -> Self:
        for width, reduction in zip(self.channels[1:], self.reductions, strict=True):
            if width % 2:
                raise ValueError(f"channels of both levels must be even, as a block has two halves (got {width})")
            if width < reduction:
                raise ValueError(f"reductions must not exceed the channels of their level (got {reduction} of {width})")
        return self
