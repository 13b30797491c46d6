"""What several families of transformers have."""

from pydantic import PositiveFloat

from segkit.config.backbones.base import LayerNormedConfig, PerStage, PyramidConfig, Share
from segkit.config.component import component


@component
class TransformerConfig(LayerNormedConfig):
    """What all transformers have."""

    attention_dropout: Share = 0.0
    """Share of the attention weights dropped."""


@component
class UniformTransformerConfig(TransformerConfig):
    """What transformers have whose blocks are alike but for their width."""

    mlp_ratio: PositiveFloat = 4.0
    """Width of the hidden layer over the width of the block."""
    qkv_bias: bool = True
    """Biases of queries, keys and values."""


@component
class HierarchicalTransformerConfig(UniformTransformerConfig, PyramidConfig):
    """What transformers of four stages have."""

    depths: PerStage = (2, 2, 2, 2)
    """Blocks in each stage."""
    num_heads: PerStage = (1, 2, 5, 8)
    """Attention heads in each stage."""
    dropout: Share = 0.0
    """Share of a block's outputs dropped."""
    drop_path: Share = 0.1
