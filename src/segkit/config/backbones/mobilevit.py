"""MobileViT V1 and V2."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from segkit.config.backbones.base import ConvolutionalConfig, DropPathConfig, FixedStrides
from segkit.config.component import component

FiveStages = Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], Field(min_length=1)]


@component
class MobileViTFamilyConfig(FixedStrides, DropPathConfig, ConvolutionalConfig):
    """What both versions of MobileViT have."""

    out_indices: FiveStages = (0, 1, 2, 3, 4)
    """Stages to return."""

    STRIDES: ClassVar = (2, 4, 8, 16, 32)


@component
class MobileViTConfig(MobileViTFamilyConfig):
    """Inverted residuals with transformers between (Mehta and Rastegari, 2022, arXiv:2110.02178)."""

    type: Literal["MobileViT"] = "MobileViT"
    arch: Literal["xx_small", "x_small", "small"] = "small"
    """Size."""
    projection_act: bool = True
    """Activation behind each transformer's projection, as the paper's code has it; SSSegmentation goes without."""
    out_indices: FiveStages = (0, 1, 2, 3, 4)
    """Stages to return; the last one is widened by a further convolution."""


@component
class MobileViTV2Config(MobileViTFamilyConfig):
    """MobileViT with attention of linear cost (Mehta and Rastegari, 2022, arXiv:2206.02680)."""

    type: Literal["MobileViTV2"] = "MobileViTV2"
    width: Annotated[float, Field(ge=0.5, le=2, multiple_of=0.25)] = 1.0
    """Multiplier of all channels."""
