"""ERFNet."""

import itertools
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from segkit.config.backbones.base import OwnBackboneConfig, PerLevel, Share, Three
from segkit.config.component import component


@component
class ERFNetConfig(OwnBackboneConfig):
    """Residual blocks of convolutions one row or column wide (Romera et al., 2017, doi:10.1109/TITS.2017.2750080)."""

    type: Literal["ERFNet"] = "ERFNet"
    enc_channels: Three = (16, 64, 128)
    """Width after each halving of the resolution."""
    enc_blocks: PerLevel = (5, 8)
    """Residual blocks after the second and the third halving."""
    dilations: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (2, 4, 8, 16)
    """Dilations that the blocks after the third halving run through in turn; their number divides the blocks'."""
    dec_channels: PerLevel = (64, 16)
    """Width after each doubling."""
    dec_blocks: PerLevel = (2, 2)
    """Residual blocks after each doubling."""
    dropout: Share = 0.1
    """Share of the values of an encoder block dropped."""

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        widths = (self.image_channels, *self.enc_channels)
        if any(wide <= narrow for narrow, wide in itertools.pairwise(widths)):
            raise ValueError(f"enc_channels must grow from in_channels on (got {list(widths)})")
        if self.enc_blocks[1] % len(self.dilations):
            raise ValueError(f"the second of enc_blocks must divide by the number of dilations, {len(self.dilations)}")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        return (2,)
