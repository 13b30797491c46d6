"""Decode heads, the necks before them, and auxiliary heads."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from segkit.config.component import Choice, component
from segkit.config.losses import Losses

Share = Annotated[float, Field(ge=0, lt=1)]


def _power_of_two(factor: float) -> float:
    if factor not in (4, 2, 1, 0.5, 0.25):
        raise ValueError("must be 4, 2, 1, 0.5 or 0.25")
    return factor


Rescale = Annotated[float, AfterValidator(_power_of_two)]


@component
class NeckConfig:
    """Changes the backbone's features before any head sees them."""

    group: ClassVar[str] = "head/neck"


@component
class Feature2PyramidConfig(NeckConfig):
    """Rescales the equal-sized features of a plain vision transformer to a pyramid (Bao et al., 2021)."""

    type: Literal["Feature2Pyramid"] = "Feature2Pyramid"
    rescales: tuple[Rescale, ...] = (4, 2, 1, 0.5)
    """Factor of each feature's height and width, finest first."""


Neck = Annotated[NeckConfig, Choice("head/neck")]


@component
class HeadConfig:
    """Turns the backbone's features into logits."""

    group: ClassVar[str] = "head"

    neck: Neck | None = None
    """What happens to the features first; auxiliary heads see the outcome too."""
    dropout: Share = 0.1
    """Share of channels dropped before the classifier in training."""
    align_corners: bool = False
    """How every bilinear resize of the head, and of all logits in training, lines up the corners."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        """Training logits by name, with the factor of their losses in the sum; ``main`` is what inference uses."""
        return {"main": 1.0}


@component
class FCNConfig(HeadConfig):
    """Convolutions on the deepest feature (Long et al., 2015, arXiv:1411.4038)."""

    type: Literal["FCN"] = "FCN"
    channels: PositiveInt = 512
    """Width of the convolutions."""
    num_convs: NonNegativeInt = 2
    """3x3 convolutions before the classifier."""
    depthwise: bool = False
    """Depthwise separable convolutions, as Fast-SCNN uses them."""


@component
class PSPNetConfig(HeadConfig):
    """Pyramid pooling head (Zhao et al., 2017, arXiv:1612.01105)."""

    type: Literal["PSPNet"] = "PSPNet"
    channels: PositiveInt = 512
    """Width of each pooled branch and of the fused feature."""
    pool_scales: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Side lengths of the pooling grids; 1 is the global average."""


@component
class Deeplabv3Config(HeadConfig):
    """Atrous spatial pyramid pooling (Chen et al., 2017, arXiv:1706.05587)."""

    type: Literal["Deeplabv3"] = "Deeplabv3"
    channels: PositiveInt = 512
    """Width of each branch and of the fused feature."""
    dilations: tuple[PositiveInt, ...] = (1, 6, 12, 18)
    """Dilation of each branch; use (1, 12, 24, 36) at output stride 8."""


@component
class Deeplabv3PlusConfig(HeadConfig):
    """Separable ASPP with a decoder on the finest feature (Chen et al., 2018, arXiv:1802.02611)."""

    type: Literal["Deeplabv3Plus"] = "Deeplabv3Plus"
    channels: PositiveInt = 512
    """Width of each branch and of the decoder."""
    shortcut_channels: PositiveInt = 48
    """Width that the finest feature is reduced to."""
    dilations: tuple[PositiveInt, ...] = (1, 6, 12, 18)
    """Dilation of each branch; use (1, 12, 24, 36) at output stride 8."""


@component
class UPerNetConfig(HeadConfig):
    """Pyramid pooling on top of a feature pyramid (Xiao et al., 2018, arXiv:1807.10221)."""

    type: Literal["UPerNet"] = "UPerNet"
    channels: PositiveInt = 512
    """Width of every level."""
    pool_scales: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Side lengths of the pooling grids on the deepest feature."""


@component
class SemanticFPNConfig(HeadConfig):
    """Feature pyramid whose levels are upsampled in steps and summed (Kirillov et al., 2019, arXiv:1901.02446)."""

    type: Literal["SemanticFPN"] = "SemanticFPN"
    channels: PositiveInt = 256
    """Width of the feature pyramid."""
    scale_head_channels: PositiveInt = 128
    """Width of the summed branches."""
    upsample: Literal["nearest", "bilinear"] = "nearest"
    """How the pyramid's way down enlarges a level."""
    strides: tuple[PositiveInt, ...] | None = None
    """Input pixels per cell of each feature, which decide how often it is doubled; null takes the backbone's."""


@component
class LRASPPNetConfig(HeadConfig):
    """Light head of MobileNetV3 (Howard et al., 2019, arXiv:1905.02244)."""

    type: Literal["LRASPPNet"] = "LRASPPNet"
    channels: PositiveInt = 128
    """Width of the deepest feature and of the fused ones."""
    branch_channels: tuple[PositiveInt, ...] = (32, 64)
    """Width of the shortcuts, finest feature first."""
    pool_size: PositiveInt | None = 49
    """Side of the pooling window on the deepest feature, strides (16, 20); a smaller map, or null, is pooled whole."""


@component
class SegformerConfig(HeadConfig):
    """All levels through one linear layer each, fused by a 1x1 convolution (Xie et al., 2021, arXiv:2105.15203)."""

    type: Literal["Segformer"] = "Segformer"
    channels: PositiveInt = 256
    """Width of every level and of the fused feature."""


Head = Annotated[HeadConfig, Choice("head")]


@component
class AuxiliaryConfig:
    """A second head on an earlier feature, for training only."""

    head: Head = FCNConfig(channels=512, num_convs=1)
    """Any head; it sees the features up to ``level``."""
    level: int = -2
    """Which of the backbone's features is its deepest, counted from the finest (0) or from the last (-1)."""
    weight: NonNegativeFloat = 0.4
    """Factor of this head's losses in the sum."""
    loss: Losses | None = None
    """Its losses; null takes the main head's."""
