"""Transformers that keep one resolution: ViT, BEiT, MAE."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from segkit.config.backbones.base import Share
from segkit.config.backbones.transformer import UniformTransformerConfig
from segkit.config.component import component

Blocks = Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]


@component
class PlainTransformerConfig(UniformTransformerConfig):
    """What transformers that keep one resolution have."""

    image_size: tuple[PositiveInt, PositiveInt] = (224, 224)
    """Height and width that the stored positions are for; for images of another size they are interpolated."""
    patch_size: PositiveInt = 16
    """Side of the patches that become one cell; images are padded with zeros to whole patches."""
    embed_dim: PositiveInt = 768
    """Width of every block."""
    depth: PositiveInt = 12
    """Blocks."""
    num_heads: PositiveInt = 12
    """Attention heads in each block."""
    final_norm: bool = False
    """Normalise what the last block returns."""
    out_indices: Blocks = (2, 5, 8, 11)
    """Blocks whose outputs are returned."""

    @model_validator(mode="after")
    def _blocks_exist(self) -> Self:
        if max(self.out_indices) >= self.depth:
            raise ValueError(f"out_indices must be at most {self.depth - 1}, as there are {self.depth} blocks")
        if self.embed_dim % self.num_heads:
            raise ValueError(f"num_heads: {self.num_heads} heads do not divide the {self.embed_dim} channels")
        if min(self.image_size) < self.patch_size:
            raise ValueError(f"image_size must be at least patch_size ({self.patch_size})")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        return (self.patch_size,) * len(self.out_indices)


@component
class VisionTransformerConfig(PlainTransformerConfig):
    """Plain transformer over patches (Dosovitskiy et al., 2021, arXiv:2010.11929)."""

    type: Literal["VisionTransformer"] = "VisionTransformer"
    dropout: Share = 0.0
    """Share of a block's outputs, and of the embedded patches, dropped."""
    class_token: bool = True
    """A token beside the patches, as classification has it; it is not returned."""
    patch_bias: bool = True
    """Bias of the patch embedding."""
    patch_norm: bool = False
    """Normalise the embedded patches."""
    pre_norm: bool = False
    """Normalise before the first block (CLIP)."""


@component
class BEiTFamilyConfig(PlainTransformerConfig):
    """What BEiT and MAE have."""

    layer_scale_init: NonNegativeFloat = 1.0
    """Start of the factor on each residual branch; 0 leaves it out."""
    drop_path: Share = 0.1
    out_indices: Blocks = (3, 5, 7, 11)


@component
class BEiTConfig(BEiTFamilyConfig):
    """Plain transformer with relative position biases (Bao et al., 2022, arXiv:2106.08254)."""

    type: Literal["BEiT"] = "BEiT"
    layer_scale_init: NonNegativeFloat = 0.1
    """Start of the factor on each residual branch; 0 leaves it out. Large models start at 1e-5."""


@component
class MAEConfig(BEiTFamilyConfig):
    """BEiT's network with learned positions, for weights of masked autoencoders (He et al., 2022, arXiv:2111.06377)."""

    type: Literal["MAE"] = "MAE"
