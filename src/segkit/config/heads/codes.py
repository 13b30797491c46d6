"""Bases and codewords that cells are compared with."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from segkit.config.component import component
from segkit.config.heads.base import HeadConfig


@component
class EMANetConfig(HeadConfig):
    """Attention to a few bases found by expectation maximisation (Li et al., 2019, arXiv:1907.13426)."""

    type: Literal["EMANet"] = "EMANet"
    channels: PositiveInt = 512
    """Width of the attended and of the fused feature."""
    num_bases: PositiveInt = 64
    """Bases that the positions are rebuilt from."""
    num_stages: PositiveInt = 3
    """Steps of expectation and maximisation."""
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of a training batch's bases in those that the next one starts from."""


@component
class ENCNetConfig(HeadConfig):
    """Channels weighed by residual codes, and a loss on the classes present (Zhang et al., 2018, arXiv:1803.08904)."""

    type: Literal["ENCNet"] = "ENCNet"
    channels: PositiveInt = 512
    """Width of the encoded feature."""
    num_codes: PositiveInt = 32
    """Codewords that positions are compared with."""
    se_weight: NonNegativeFloat = 0.2
    """Factor of the semantic encoding loss, which asks for the classes of an image; 0 leaves it out."""
    add_lateral: bool = False
    """Fuse the finer features, too."""
