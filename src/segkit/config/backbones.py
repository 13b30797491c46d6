"""Backbones: what timm has comes through one adapter, named variants are YAML."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from segkit.config.component import Choice, component
from segkit.config.layers import Act, Norm

Share = Annotated[float, Field(ge=0, lt=1)]
Stage = Annotated[int, Field(ge=0, le=3)]
FourStages = Annotated[tuple[Stage, ...], Field(min_length=1)]


@component
class BackboneConfig:
    """Turns images into feature maps, finest first."""

    group: ClassVar[str] = "backbone"

    in_channels: PositiveInt = 3
    """Channels of the images."""
    pretrained: bool = False
    """Start from the weights that timm offers for this architecture (fetched once, then cached)."""
    weights: Path | None = None
    """Start from this file instead, whatever ``pretrained`` says: a state_dict of timm, torchvision, SSSegmentation or
    segkit; with or without a head."""
    grad_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell of each returned feature; empty when only the built model can tell."""
        return ()


@component
class ConvolutionalConfig(BackboneConfig):
    """A backbone that leaves the choice of its normalisation."""

    norm: Norm | None = None
    """Normalisation; null takes the one of the whole configuration."""


@component
class AttentionConfig(BackboneConfig):
    """What every hierarchical transformer has."""

    mlp_ratio: PositiveFloat = 4.0
    """Width of the hidden layer over the width of the block."""
    qkv_bias: bool = True
    """Biases of queries, keys and values."""
    dropout: Share = 0.0
    """Share of a block's outputs dropped."""
    attention_dropout: Share = 0.0
    """Share of the attention weights dropped."""
    drop_path: Share = 0.1
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    out_indices: FourStages = (0, 1, 2, 3)
    """Stages to return."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(4 * 2**i for i in self.out_indices)


@component
class ResNetConfig(ConvolutionalConfig):
    """Residual network (He et al., 2016, arXiv:1512.03385)."""

    type: Literal["ResNet"] = "ResNet"
    depth: Literal[18, 34, 50, 101, 152] = 50
    """Layers."""
    output_stride: Literal[8, 16, 32] = 8
    """Input pixels per cell of the last feature; dilation makes up for the strides left out."""
    deep_stem: bool = False
    """Three 3x3 convolutions instead of one 7x7 (ResNet-C, arXiv:1812.01187)."""
    stem_channels: PositiveInt = 64
    """Channels after the stem; half of it inside a deep stem."""
    base_channels: PositiveInt = 64
    """Width of the first stage; it doubles from stage to stage."""
    contract_dilation: bool = True
    """The first block of a dilated stage uses half its dilation."""
    avg_down: bool = False
    """Average pooling before the 1x1 convolution of a shortcut that shrinks (ResNet-D, arXiv:1812.01187)."""
    style: Literal["pytorch", "caffe"] = "pytorch"
    """Where a bottleneck shrinks: in its 3x3 convolution (pytorch) or in its first 1x1 (caffe)."""
    act: Act | None = None
    """Activation; null is ReLU."""
    out_indices: FourStages = (0, 1, 2, 3)
    """Stages to return."""

    @model_validator(mode="after")
    def _stem_fits(self) -> Self:
        if self.stem_channels % 2:
            raise ValueError("stem_channels must be even, as a deep stem is half as wide inside")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(min(4 * 2**i, self.output_stride) for i in self.out_indices)


@component
class ResNeStConfig(ConvolutionalConfig):
    """ResNet whose blocks weigh two groups of channels against each other (Zhang et al., 2020, arXiv:2004.08955)."""

    type: Literal["ResNeSt"] = "ResNeSt"
    depth: Literal[50, 101, 152, 200] = 101
    """Layers."""
    output_stride: Literal[8, 16, 32] = 8
    """Input pixels per cell of the last feature; dilation makes up for the strides left out."""
    stem_channels: PositiveInt = 128
    """Channels after the stem of three 3x3 convolutions; half of it inside. timm's weights of depth 50 have 64."""
    contract_dilation: bool = True
    """The first block of a dilated stage uses half its dilation."""
    out_indices: FourStages = (0, 1, 2, 3)
    """Stages to return."""

    @model_validator(mode="after")
    def _stem_fits(self) -> Self:
        if self.stem_channels % 2:
            raise ValueError("stem_channels must be even, as a deep stem is half as wide inside")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(min(4 * 2**i, self.output_stride) for i in self.out_indices)


@component
class MobileNetV2Config(ConvolutionalConfig):
    """Inverted residuals (Sandler et al., 2018, arXiv:1801.04381)."""

    type: Literal["MobileNetV2"] = "MobileNetV2"
    width: PositiveFloat = 1.0
    """Multiplier of all channels."""
    output_stride: Literal[8, 16, 32] = 8
    """Input pixels per cell of the last feature."""
    act: Act | None = None
    """Activation; null is ReLU6."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], Field(min_length=1)] = (1, 2, 4, 6)
    """Stages to return."""

    STAGE_STRIDES: ClassVar = (2, 4, 8, 16, 16, 32, 32)
    """Input pixels per cell after each stage, as the classifier has them."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(min(self.STAGE_STRIDES[i], self.output_stride) for i in self.out_indices)


@component
class MobileNetV3Config(ConvolutionalConfig):
    """Searched inverted residuals with squeeze and excitation (Howard et al., 2019, arXiv:1905.02244)."""

    type: Literal["MobileNetV3"] = "MobileNetV3"
    arch: Literal["small", "large"] = "large"
    """Size."""
    output_stride: Literal[8, 16, 32] = 8
    """Input pixels per cell of the last feature."""
    reduction_factor: Literal[1, 2] = 1
    """Divides the channels of the last blocks; the last convolution keeps its own."""
    out_indices: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] | None = None
    """Layers to return, the stem being 0; null is (1, 3, 16) for large and (0, 1, 12) for small."""

    LAYER_STRIDES: ClassVar = {
        "large": (2, 2, 4, 4, 8, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32, 32, 32),
        "small": (2, 4, 8, 8, 16, 16, 16, 16, 16, 32, 32, 32, 32),
    }
    """Input pixels per cell after each layer, as the classifier has them."""

    @model_validator(mode="after")
    def _layers_exist(self) -> Self:
        last = len(self.LAYER_STRIDES[self.arch]) - 1
        if max(self.layers) > last:
            raise ValueError(f"out_indices must be at most {last} for the {self.arch} network")
        return self

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that are returned, the default resolved."""
        return self.out_indices or {"large": (1, 3, 16), "small": (0, 1, 12)}[self.arch]

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(min(self.LAYER_STRIDES[self.arch][i], self.output_stride) for i in self.layers)


@component
class ConvNeXtConfig(BackboneConfig):
    """Convolutional network in the shape of a transformer (Liu et al., 2022, arXiv:2201.03545)."""

    type: Literal["ConvNeXt"] = "ConvNeXt"
    depths: Annotated[tuple[PositiveInt, ...], Field(min_length=4, max_length=4)] = (3, 3, 9, 3)
    """Blocks in each stage."""
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=4, max_length=4)] = (96, 192, 384, 768)
    """Width of each stage."""
    patch_size: PositiveInt = 4
    """Side of the patches that the stem turns into one cell."""
    drop_path: Share = 0.0
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    layer_scale_init: NonNegativeFloat = 1e-6
    """Start of the factor on each residual branch; 0 leaves it out."""
    use_grn: bool = False
    """Global response normalisation in each block (ConvNeXt V2, arXiv:2301.00808)."""
    conv_mlp: bool = False
    """1x1 convolutions instead of linear layers in the blocks; another speed, the same result."""
    norm_eps: PositiveFloat = 1e-6
    """Added to the variance in every layer normalisation."""
    out_indices: FourStages = (0, 1, 2, 3)
    """Stages to return."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.patch_size * 2**i for i in self.out_indices)


@component
class SwinTransformerConfig(AttentionConfig):
    """Shifted windows (Liu et al., 2021, arXiv:2103.14030)."""

    type: Literal["SwinTransformer"] = "SwinTransformer"
    embed_dim: PositiveInt = 96
    """Width of the first stage; it doubles from stage to stage."""
    depths: Annotated[tuple[PositiveInt, ...], Field(min_length=4, max_length=4)] = (2, 2, 6, 2)
    """Blocks in each stage."""
    num_heads: Annotated[tuple[PositiveInt, ...], Field(min_length=4, max_length=4)] = (3, 6, 12, 24)
    """Attention heads in each stage."""
    window_size: PositiveInt = 7
    """Side of the attention window, in cells."""
    norm_eps: PositiveFloat = 1e-5
    """Added to the variance in every layer normalisation."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        for stage, heads in enumerate(self.num_heads):
            if self.embed_dim * 2**stage % heads:
                raise ValueError(f"num_heads: {heads} heads do not divide the {self.embed_dim * 2**stage} channels")
        return self


@component
class MixVisionTransformerConfig(AttentionConfig):
    """The encoder of SegFormer (Xie et al., 2021, arXiv:2105.15203)."""

    type: Literal["MixVisionTransformer"] = "MixVisionTransformer"
    embed_dim: PositiveInt = 32
    """Width of one attention head; a stage is this wide times its heads."""
    depths: Annotated[tuple[PositiveInt, ...], Field(min_length=4, max_length=4)] = (2, 2, 2, 2)
    """Blocks in each stage."""
    num_heads: Annotated[tuple[PositiveInt, ...], Field(min_length=4, max_length=4)] = (1, 2, 5, 8)
    """Attention heads in each stage."""
    sr_ratios: Annotated[tuple[PositiveInt, ...], Field(min_length=4, max_length=4)] = (8, 4, 2, 1)
    """Factor by which keys and values are reduced on each side, for each stage."""
    norm_eps: PositiveFloat = 1e-6
    """Added to the variance in every layer normalisation."""


@component
class TIMMBackboneConfig(ConvolutionalConfig):
    """Any model that timm can run as a feature extractor."""

    type: Literal["TIMMBackbone"] = "TIMMBackbone"
    model_name: str = "resnet18"
    """timm's name; ``python -c "import timm; print(timm.list_models('*convnext*'))"`` lists them."""
    output_stride: Literal[8, 16, 32] | None = None
    """Input pixels per cell of the last feature; null keeps the model's own."""
    out_indices: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Features to return, negative ones counted from the last; null returns all."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the model's constructor."""


Backbone = Annotated[BackboneConfig, Choice("backbone")]
