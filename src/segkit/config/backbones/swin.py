"""Swin."""

from typing import Literal, Self

from pydantic import PositiveFloat, PositiveInt, model_validator

from segkit.config.backbones.base import PerStage
from segkit.config.backbones.transformer import HierarchicalTransformerConfig
from segkit.config.component import component


@component
class SwinTransformerConfig(HierarchicalTransformerConfig):
    """Shifted windows (Liu et al., 2021, arXiv:2103.14030)."""

    type: Literal["SwinTransformer"] = "SwinTransformer"
    embed_dim: PositiveInt = 96
    """Width of the first stage; it doubles from stage to stage."""
    depths: PerStage = (2, 2, 6, 2)
    num_heads: PerStage = (3, 6, 12, 24)
    window_size: PositiveInt = 7
    """Side of the attention window, in cells."""
    norm_eps: PositiveFloat = 1e-5

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        for stage, heads in enumerate(self.num_heads):
            if self.embed_dim * 2**stage % heads:
                raise ValueError(f"num_heads: {heads} heads do not divide the {self.embed_dim * 2**stage} channels")
        return self
