"""Backbones: what timm has comes through one adapter, named variants are YAML."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from segkit.config.component import Choice, component

Share = Annotated[float, Field(ge=0, lt=1)]


@component
class BackboneConfig:
    """Turns images into feature maps, finest first."""

    group: ClassVar[str] = "backbone"

    in_channels: PositiveInt = 3
    """Channels of the images."""
    pretrained: bool = False
    """Start from the weights that timm offers for this architecture (fetched once, then cached)."""
    weights: Path | None = None
    """Start from this file instead: a state_dict of timm, torchvision, SSSegmentation or segkit."""
    grad_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell of each returned feature; empty when only the built model can tell."""
        return ()


@component
class ResNetConfig(BackboneConfig):
    """Residual network (He et al., 2016, arXiv:1512.03385)."""

    type: Literal["ResNet"] = "ResNet"
    depth: Literal[18, 34, 50, 101, 152] = 50
    """Layers."""
    output_stride: Literal[8, 16, 32] = 8
    """Input pixels per cell of the last feature; dilation makes up for the strides left out."""
    deep_stem: bool = False
    """Three 3x3 convolutions instead of one 7x7."""
    stem_channels: PositiveInt = 64
    """Channels after the stem; half of it inside a deep stem."""
    contract_dilation: bool = True
    """The first block of a dilated stage uses half its dilation."""
    avg_down: bool = False
    """Average pooling before the 1x1 convolution of a shortcut that shrinks (ResNet-D)."""
    out_indices: tuple[Annotated[int, Field(ge=0, le=3)], ...] = (0, 1, 2, 3)
    """Stages to return."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(min(4 * 2**i, self.output_stride) if i else 4 for i in self.out_indices)


@component
class MobileNetV2Config(BackboneConfig):
    """Inverted residuals (Sandler et al., 2018, arXiv:1801.04381)."""

    type: Literal["MobileNetV2"] = "MobileNetV2"
    width: PositiveFloat = 1.0
    """Multiplier of all channels."""
    output_stride: Literal[8, 16, 32] = 8
    """Input pixels per cell of the last feature."""
    out_indices: tuple[Annotated[int, Field(ge=0, le=6)], ...] = (1, 2, 4, 6)
    """Stages to return."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(min((2, 4, 8, 16, 16, 32, 32)[i], self.output_stride) for i in self.out_indices)


@component
class MobileNetV3Config(BackboneConfig):
    """Searched inverted residuals with squeeze and excitation (Howard et al., 2019, arXiv:1905.02244)."""

    type: Literal["MobileNetV3"] = "MobileNetV3"
    arch: Literal["small", "large"] = "large"
    """Size."""
    output_stride: Literal[8, 16, 32] = 8
    """Input pixels per cell of the last feature."""
    reduction_factor: Literal[1, 2] = 1
    """Divides the channels of the last stage."""
    out_indices: tuple[NonNegativeInt, ...] | None = None
    """Layers to return, the stem being 0; null is (1, 3, 16) for large and (0, 1, 12) for small."""


@component
class ConvNeXtConfig(BackboneConfig):
    """Convolutional network in the shape of a transformer (Liu et al., 2022, arXiv:2201.03545)."""

    type: Literal["ConvNeXt"] = "ConvNeXt"
    depths: tuple[PositiveInt, ...] = (3, 3, 9, 3)
    """Blocks in each stage."""
    channels: tuple[PositiveInt, ...] = (96, 192, 384, 768)
    """Width of each stage."""
    drop_path: Share = 0.0
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    layer_scale_init: float = 1e-6
    """Start of the factor on each residual branch; 0 leaves it out."""
    use_grn: bool = False
    """Global response normalisation in each block (ConvNeXt V2, arXiv:2301.00808)."""
    conv_mlp: bool = False
    """1x1 convolutions instead of linear layers in the blocks."""
    out_indices: tuple[Annotated[int, Field(ge=0, le=3)], ...] = (0, 1, 2, 3)
    """Stages to return."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(4 * 2**i for i in self.out_indices)


@component
class SwinTransformerConfig(BackboneConfig):
    """Shifted windows (Liu et al., 2021, arXiv:2103.14030)."""

    type: Literal["SwinTransformer"] = "SwinTransformer"
    embed_dim: PositiveInt = 96
    """Width of the first stage; it doubles from stage to stage."""
    depths: tuple[PositiveInt, ...] = (2, 2, 6, 2)
    """Blocks in each stage."""
    num_heads: tuple[PositiveInt, ...] = (3, 6, 12, 24)
    """Attention heads in each stage."""
    window_size: PositiveInt = 7
    """Side of the attention window, in cells."""
    mlp_ratio: PositiveFloat = 4.0
    """Width of the hidden layer over the width of the block."""
    drop_path: Share = 0.1
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    out_indices: tuple[Annotated[int, Field(ge=0, le=3)], ...] = (0, 1, 2, 3)
    """Stages to return."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(4 * 2**i for i in self.out_indices)


@component
class MixVisionTransformerConfig(BackboneConfig):
    """The encoder of SegFormer (Xie et al., 2021, arXiv:2105.15203)."""

    type: Literal["MixVisionTransformer"] = "MixVisionTransformer"
    embed_dim: PositiveInt = 32
    """Width of one attention head; a stage is this wide times its heads."""
    depths: tuple[PositiveInt, ...] = (2, 2, 2, 2)
    """Blocks in each stage."""
    num_heads: tuple[PositiveInt, ...] = (1, 2, 5, 8)
    """Attention heads in each stage."""
    sr_ratios: tuple[PositiveInt, ...] = (8, 4, 2, 1)
    """Factor by which keys and values are reduced on each side, for each stage."""
    mlp_ratio: PositiveFloat = 4.0
    """Width of the hidden layer over the width of the block."""
    drop_path: Share = 0.1
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    norm_eps: PositiveFloat = 1e-6
    """Added to the variance in every layer normalisation."""
    out_indices: tuple[Annotated[int, Field(ge=0, le=3)], ...] = (0, 1, 2, 3)
    """Stages to return."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(4 * 2**i for i in self.out_indices)


@component
class TIMMBackboneConfig(BackboneConfig):
    """Any model that timm can run as a feature extractor."""

    type: Literal["TIMMBackbone"] = "TIMMBackbone"
    model_name: str = "resnet18"
    """timm's name; ``python -c "import timm; print(timm.list_models('*convnext*'))"`` lists them."""
    output_stride: Literal[8, 16, 32] | None = None
    """Input pixels per cell of the last feature; null keeps the model's own."""
    out_indices: tuple[int, ...] | None = None
    """Features to return; null returns all."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the model's constructor."""


Backbone = Annotated[BackboneConfig, Choice("backbone")]
