"""Twins: PCPVT and SVT."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from segkit.config.backbones.base import PyramidConfig, Share
from segkit.config.backbones.transformer import TransformerConfig
from segkit.config.component import component

UpToFour = Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)]
Ratios = Annotated[tuple[PositiveFloat, ...], Field(min_length=1, max_length=4)]


@component
class TwinsConfig(PyramidConfig, TransformerConfig):
    """What the two kinds of Twins have (Chu et al., 2021, arXiv:2104.13840)."""

    embed_dims: UpToFour = (64, 128, 320, 512)
    """Width of each stage; there are as many stages."""
    depths: UpToFour = (3, 4, 6, 3)
    """Blocks in each stage."""
    num_heads: UpToFour = (1, 2, 5, 8)
    """Attention heads in each stage."""
    mlp_ratios: Ratios = (8.0, 8.0, 4.0, 4.0)
    """Width of the hidden layers over the width of the stage."""
    sr_ratios: UpToFour = (8, 4, 2, 1)
    """Factor by which keys and values are reduced on each side, for each stage."""
    stage_norm: bool = False
    """Normalise what a stage returns, and hands to the next."""
    dropout: Share = 0.0
    """Share of a block's outputs, and of the embedded patches, dropped."""
    drop_path: Share = 0.2
    norm_eps: PositiveFloat = 1e-5

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        stages = len(self.embed_dims)
        for name in ("depths", "num_heads", "mlp_ratios", "sr_ratios", "window_sizes"):
            if len(getattr(self, name, self.embed_dims)) != stages:
                raise ValueError(f"{name} must have a value for each of the {stages} stages, as embed_dims has")
        if max(self.out_indices) >= stages:
            raise ValueError(f"out_indices must be at most {stages - 1}, as there are {stages} stages")
        for width, heads in zip(self.embed_dims, self.num_heads, strict=True):
            if width % heads:
                raise ValueError(f"num_heads: {heads} heads do not divide the {width} channels")
        return self


@component
class PCPVTConfig(TwinsConfig):
    """Twins-PCPVT: a pyramid transformer with convolutional positions (Chu et al., 2021, arXiv:2104.13840)."""

    type: Literal["PCPVT"] = "PCPVT"


@component
class SVTConfig(TwinsConfig):
    """Twins-SVT: attention within windows and across the map by turns (Chu et al., 2021, arXiv:2104.13840)."""

    type: Literal["SVT"] = "SVT"
    embed_dims: UpToFour = (64, 128, 256, 512)
    depths: UpToFour = (2, 2, 10, 4)
    """Blocks in each stage; the even ones attend within windows."""
    num_heads: UpToFour = (2, 4, 8, 16)
    mlp_ratios: Ratios = (4.0, 4.0, 4.0, 4.0)
    window_sizes: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1, max_length=4)] = (7, 7, 7, 7)
    """Side of the attention windows of each stage, in cells."""
    stage_norm: bool = True
