"""SETR: vision transformer's features, upsampled."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from segkit.config.component import component
from segkit.config.heads.base import HeadConfig, Neck
from segkit.config.heads.necks import MLANeckConfig


@component
class SETRUPConfig(HeadConfig):
    """Convolutions, each before an upsampling, on a transformer's feature (Zheng et al., 2021, arXiv:2012.15840).

    PUP has 4 with a factor of 2 each, naive upsampling 2 with 4. It is the auxiliary head of both SETRs, too.
    """

    type: Literal["SETRUP"] = "SETRUP"
    channels: PositiveInt = 256
    """Width of the convolutions."""
    num_convs: NonNegativeInt = 4
    """How many there are."""
    kernel_size: Literal[1, 3, 5, 7] = 3
    """Side of their kernels."""
    scale_factor: PositiveInt = 2
    """Enlargement after each."""
    upsample: Literal["bilinear", "nearest"] = "bilinear"
    """How it is done."""
    input_norm: bool = True
    """Layer normalisation of each position first."""
    norm_eps: PositiveFloat = 1e-6
    """Its eps."""


@component
class SETRMLAConfig(HeadConfig):
    """Levels convolved and enlarged by themselves, then classified together (Zheng et al., 2021, arXiv:2012.15840)."""

    type: Literal["SETRMLA"] = "SETRMLA"
    channels: PositiveInt = 128
    """Width of the convolutions of a level."""
    scale_factor: PositiveInt = 4
    """Enlargement of each level."""
    neck: Neck | None = MLANeckConfig()
    """The aggregation of the levels; auxiliary heads see its outcome, the deepest first."""
