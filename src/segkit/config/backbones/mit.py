"""The encoder of SegFormer."""

from typing import Literal

from pydantic import PositiveInt

from segkit.config.backbones.base import PerStage
from segkit.config.backbones.transformer import HierarchicalTransformerConfig
from segkit.config.component import component


@component
class MixVisionTransformerConfig(HierarchicalTransformerConfig):
    """The encoder of SegFormer (Xie et al., 2021, arXiv:2105.15203)."""

    type: Literal["MixVisionTransformer"] = "MixVisionTransformer"
    embed_dim: PositiveInt = 32
    """Width of one attention head; a stage is this wide times its heads."""
    sr_ratios: PerStage = (8, 4, 2, 1)
    """Factor by which keys and values are reduced on each side, for each stage."""
