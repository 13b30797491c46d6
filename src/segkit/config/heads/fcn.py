"""Convolutions and a classifier."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from segkit.config.component import component
from segkit.config.heads.base import HeadConfig, Neck
from segkit.config.heads.necks import ICNeckConfig


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
class SegformerConfig(HeadConfig):
    """All levels through one linear layer each, fused by a 1x1 convolution (Xie et al., 2021, arXiv:2105.15203)."""

    type: Literal["Segformer"] = "Segformer"
    channels: PositiveInt = 256
    """Width of every level and of the fused feature."""


@component
class ICNetConfig(HeadConfig):
    """A convolution and a classifier on top of the image cascade (Zhao et al., 2018, arXiv:1704.08545)."""

    type: Literal["ICNet"] = "ICNet"
    neck: Neck | None = ICNeckConfig()
    """The cascade; auxiliary heads see its coarse and its middle feature (levels -3 and -2)."""
