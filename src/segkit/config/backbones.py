"""Backbones: what timm has comes through one adapter, named variants are YAML."""

import itertools
import math
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

    @property
    def pools_to_one_cell(self) -> bool:
        """Whether a normalisation sees one cell an image, of which batch statistics need more than one image."""
        return False


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

    @property
    def pools_to_one_cell(self) -> bool:
        return True


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
class ConvNeXtFamilyConfig(BackboneConfig):
    """What both versions of ConvNeXt have."""

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
class ConvNeXtConfig(ConvNeXtFamilyConfig):
    """Convolutional network in the shape of a transformer (Liu et al., 2022, arXiv:2201.03545)."""

    type: Literal["ConvNeXt"] = "ConvNeXt"


@component
class ConvNeXtV2Config(ConvNeXtFamilyConfig):
    """ConvNeXt with global response normalisation in place of layer scale (Woo et al., 2023, arXiv:2301.00808)."""

    type: Literal["ConvNeXtV2"] = "ConvNeXtV2"
    layer_scale_init: NonNegativeFloat = 0.0
    """Start of the factor on each residual branch; 0 leaves it out."""
    use_grn: bool = True
    """Global response normalisation in each block."""


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
class PlainTransformerConfig(BackboneConfig):
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
    mlp_ratio: PositiveFloat = 4.0
    """Width of the hidden layer over the width of the block."""
    qkv_bias: bool = True
    """Biases of queries, keys and values."""
    attention_dropout: Share = 0.0
    """Share of the attention weights dropped."""
    drop_path: Share = 0.0
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    final_norm: bool = False
    """Normalise what the last block returns."""
    norm_eps: PositiveFloat = 1e-6
    """Added to the variance in every layer normalisation."""
    out_indices: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (2, 5, 8, 11)
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
class OwnBackboneConfig(ConvolutionalConfig):
    """A network that timm lacks, written here; no pretrained weights are known."""

    act: Act | None = None
    """Activation; null is the architecture's own: PReLU in CGNet, ReLU in the others."""


@component
class UNetConfig(OwnBackboneConfig):
    """Encoder and decoder with shortcuts at every resolution (Ronneberger et al., 2015, arXiv:1505.04597)."""

    type: Literal["UNet"] = "UNet"
    base_channels: PositiveInt = 64
    """Width of the first stage; it doubles from stage to stage."""
    stage_strides: Annotated[tuple[Literal[1, 2], ...], Field(min_length=2)] = (1, 1, 1, 1, 1)
    """Stride of the first convolution of each encoder stage."""
    downsamples: tuple[bool, ...] = (True, True, True, True)
    """Whether each stage but the first halves the resolution: by its stride, or by max pooling where that is 1."""
    enc_num_convs: tuple[PositiveInt, ...] = (2, 2, 2, 2, 2)
    """3x3 convolutions of each encoder stage."""
    dec_num_convs: tuple[PositiveInt, ...] = (2, 2, 2, 2)
    """3x3 convolutions of each decoder block, finest first."""
    enc_dilations: tuple[PositiveInt, ...] = (1, 1, 1, 1, 1)
    """Dilation in each encoder stage, of all convolutions but the first."""
    dec_dilations: tuple[PositiveInt, ...] = (1, 1, 1, 1)
    """Dilation in each decoder block, of all convolutions but the first."""
    upsample: Literal["interpolate", "deconv"] = "interpolate"
    """How a decoder block doubles the resolution: bilinearly with a 1x1 convolution, or by a transposed 4x4 one."""
    conv_first: bool = False
    """The 1x1 convolution comes before the interpolation; less work."""
    out_indices: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (3, 4)
    """Maps to return: 0 is the encoder's last, the coarsest; the last is the decoder's finest, which heads read."""

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        count = len(self.stage_strides)
        for name in ("enc_num_convs", "enc_dilations"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name} must have {count} numbers, one for each of stage_strides")
        for name in ("downsamples", "dec_num_convs", "dec_dilations"):
            if len(getattr(self, name)) != count - 1:
                raise ValueError(f"{name} must have {count - 1} values, one less than stage_strides")
        if max(self.out_indices) >= count:
            raise ValueError(f"out_indices must be at most {count - 1}, as there are {count} stages")
        for stage, (stride, halves) in enumerate(zip(self.stage_strides[1:], self.downsamples, strict=True), 1):
            if stride == 2 and not halves:
                raise ValueError(f"downsamples must be true for stage {stage}, whose stride is 2")
        return self

    @property
    def encoder_strides(self) -> tuple[int, ...]:
        """Input pixels per cell after each encoder stage, finest first."""
        strides: list[int] = [self.stage_strides[0]]
        for halves in self.downsamples:
            strides.append(strides[-1] * (2 if halves else 1))
        return tuple(strides)

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.encoder_strides[::-1][i] for i in self.out_indices)


@component
class BiSeNetV1Config(OwnBackboneConfig):
    """A shallow path for detail beside a deep one for context (Yu et al., 2018, arXiv:1808.00897)."""

    type: Literal["BiSeNetV1"] = "BiSeNetV1"
    context: ResNetConfig = ResNetConfig(depth=18, output_stride=32, deep_stem=True)
    """The deep path; its images and, unless it names its own, its normalisation are those given here."""
    spatial_channels: Annotated[tuple[PositiveInt, ...], Field(min_length=4, max_length=4)] = (64, 64, 64, 128)
    """Width of each layer of the shallow path."""
    context_channels: PositiveInt = 128
    """Width of the refined context maps."""
    channels: PositiveInt = 256
    """Width of the fused map."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Field(min_length=1)] = (0, 1, 2)
    """Maps to return: 0 and 1 are the context at stride 8 and 16, 2 is the fused map."""

    STRIDES: ClassVar = (8, 16, 8)
    """Input pixels per cell of each map."""

    @model_validator(mode="after")
    def _context_fits(self) -> Self:
        if self.context.output_stride != 32:
            raise ValueError("context.output_stride must be 32")
        if self.context.out_indices != (0, 1, 2, 3):
            raise ValueError("context.out_indices must be (0, 1, 2, 3)")
        if self.context.in_channels not in (3, self.in_channels):
            raise ValueError(f"context.in_channels must be in_channels, which is {self.in_channels}")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.STRIDES[i] for i in self.out_indices)

    @property
    def pools_to_one_cell(self) -> bool:
        return True


@component
class BiSeNetV2Config(OwnBackboneConfig):
    """Detail and semantics on two paths that guide each other (Yu et al., 2021, arXiv:2004.02147)."""

    type: Literal["BiSeNetV2"] = "BiSeNetV2"
    detail_channels: Annotated[tuple[PositiveInt, ...], Field(min_length=3, max_length=3)] = (64, 64, 128)
    """Width of each stage of the detail path."""
    semantic_channels: Annotated[tuple[PositiveInt, ...], Field(min_length=4, max_length=4)] = (16, 32, 64, 128)
    """Width of each stage of the semantic path; the last must be the detail path's last."""
    expansion: PositiveInt = 6
    """Factor by which a block of the semantic path widens inside."""
    align_corners: bool = False
    """How the semantic path's maps are resized to the detail path's."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], Field(min_length=1)] = (0, 1, 2, 3, 4)
    """Maps to return: 0 to 3 are the stages of the semantic path, for auxiliary heads; 4 is the joined map."""

    STRIDES: ClassVar = (4, 8, 16, 32, 8)
    """Input pixels per cell of each map."""

    @model_validator(mode="after")
    def _paths_meet(self) -> Self:
        if self.semantic_channels[-1] != self.detail_channels[-1]:
            raise ValueError(
                "the last of semantic_channels must be the last of detail_channels, as they are multiplied"
            )
        if self.semantic_channels[0] % 2:
            raise ValueError("the first of semantic_channels must be even, as the stem is half as wide inside")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.STRIDES[i] for i in self.out_indices)

    @property
    def pools_to_one_cell(self) -> bool:
        return 4 in self.out_indices


@component
class CGNetConfig(OwnBackboneConfig):
    """Local features weighed by their surroundings and the whole image (Wu et al., 2018, arXiv:1811.08201)."""

    type: Literal["CGNet"] = "CGNet"
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=3, max_length=3)] = (32, 64, 128)
    """Width of the stem and of both levels; even."""
    num_blocks: Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=2)] = (3, 21)
    """Blocks of each level."""
    dilations: Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=2)] = (2, 4)
    """Dilation of the convolution of the surroundings, in each level."""
    reductions: Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=2)] = (8, 16)
    """Divides the channels inside the gate, in each level."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Field(min_length=1)] = (0, 1, 2)
    """Maps to return."""

    @model_validator(mode="after")
    def _blocks_fit(self) -> Self:
        for width, reduction in zip(self.channels[1:], self.reductions, strict=True):
            if width % 2:
                raise ValueError(f"channels of both levels must be even, as a block has two halves (got {width})")
            if width < reduction:
                raise ValueError(f"reductions must not exceed the channels of their level (got {reduction} of {width})")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2 * 2**i for i in self.out_indices)


@component
class ERFNetConfig(OwnBackboneConfig):
    """Residual blocks of convolutions one row or column wide (Romera et al., 2017, doi:10.1109/TITS.2017.2750080)."""

    type: Literal["ERFNet"] = "ERFNet"
    enc_channels: Annotated[tuple[PositiveInt, ...], Field(min_length=3, max_length=3)] = (16, 64, 128)
    """Width after each halving of the resolution."""
    enc_blocks: Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=2)] = (5, 8)
    """Residual blocks after the second and the third halving."""
    dilations: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (2, 4, 8, 16)
    """Dilations that the blocks after the third halving run through in turn; their number divides the blocks'."""
    dec_channels: Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=2)] = (64, 16)
    """Width after each doubling."""
    dec_blocks: Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=2)] = (2, 2)
    """Residual blocks after each doubling."""
    dropout: Share = 0.1
    """Share of the values of an encoder block dropped."""

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        widths = (self.in_channels, *self.enc_channels)
        if any(wide <= narrow for narrow, wide in itertools.pairwise(widths)):
            raise ValueError(f"enc_channels must grow from in_channels on (got {list(widths)})")
        if self.enc_blocks[1] % len(self.dilations):
            raise ValueError(f"the second of enc_blocks must divide by the number of dilations, {len(self.dilations)}")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        return (2,)


@component
class FastSCNNConfig(OwnBackboneConfig):
    """A shared shallow stem for detail and global context (Poudel et al., 2019, arXiv:1902.04502)."""

    type: Literal["FastSCNN"] = "FastSCNN"
    stem_channels: Annotated[tuple[PositiveInt, ...], Field(min_length=3, max_length=3)] = (32, 48, 64)
    """Width of each layer of the stem; the last is the first map's."""
    block_channels: Annotated[tuple[PositiveInt, ...], Field(min_length=3, max_length=3)] = (64, 96, 128)
    """Width of each group of three inverted residuals."""
    block_strides: Annotated[tuple[Literal[1, 2], ...], Field(min_length=3, max_length=3)] = (2, 2, 1)
    """Stride of each group."""
    global_channels: PositiveInt = 128
    """Width of the second map, the global context."""
    channels: PositiveInt = 128
    """Width of the third map, the fusion; divides ``global_channels``."""
    align_corners: bool = False
    """How pooled and coarse maps are resized."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Field(min_length=1)] = (0, 1, 2)
    """Maps to return: 0 is the stem's, 1 the global context, 2 their fusion."""

    @model_validator(mode="after")
    def _fusion_fits(self) -> Self:
        if self.global_channels % self.channels:
            raise ValueError(f"channels must divide global_channels, {self.global_channels} (got {self.channels})")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        coarse = 8 * math.prod(self.block_strides)
        return tuple((8, coarse, 8)[i] for i in self.out_indices)

    @property
    def pools_to_one_cell(self) -> bool:
        return max(self.out_indices) > 0


@component
class BEiTConfig(PlainTransformerConfig):
    """Plain transformer with relative position biases (Bao et al., 2022, arXiv:2106.08254)."""

    type: Literal["BEiT"] = "BEiT"
    layer_scale_init: NonNegativeFloat = 0.1
    """Start of the factor on each residual branch; 0 leaves it out. Large models start at 1e-5."""
    drop_path: Share = 0.1
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    out_indices: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (3, 5, 7, 11)
    """Blocks whose outputs are returned."""


@component
class MAEConfig(PlainTransformerConfig):
    """BEiT's network with learned positions, for weights of masked autoencoders (He et al., 2022, arXiv:2111.06377)."""

    type: Literal["MAE"] = "MAE"
    layer_scale_init: NonNegativeFloat = 1.0
    """Start of the factor on each residual branch; 0 leaves it out."""
    drop_path: Share = 0.1
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    out_indices: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (3, 5, 7, 11)
    """Blocks whose outputs are returned."""


@component
class HRNetConfig(ConvolutionalConfig):
    """High-resolution network: parallel branches that exchange what they see (Wang et al., 2019, arXiv:1908.07919)."""

    type: Literal["HRNet"] = "HRNet"
    width: PositiveInt = 18
    """Channels of the branch of stride 4; they double with the stride."""
    small: bool = False
    """Half of the blocks (HRNet-W18-Small-v2)."""
    stem_act: bool = True
    """Activation between the two convolutions of the stem; MCIBI's published weights go without."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], Field(min_length=1)] = (0, 0, 0, 0)
    """What to return: 0 all branches stacked at stride 4, 1 to 4 the branches of stride 4, 8, 16 and 32. The stack four
    times, as it is set, costs nothing and suits heads that read several maps."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple((4, 4, 8, 16, 32)[i] for i in self.out_indices)


@component
class TwinsConfig(BackboneConfig):
    """What the two kinds of Twins have (Chu et al., 2021, arXiv:2104.13840)."""

    embed_dims: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)] = (64, 128, 320, 512)
    """Width of each stage; there are as many stages."""
    depths: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)] = (3, 4, 6, 3)
    """Blocks in each stage."""
    num_heads: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)] = (1, 2, 5, 8)
    """Attention heads in each stage."""
    mlp_ratios: Annotated[tuple[PositiveFloat, ...], Field(min_length=1, max_length=4)] = (8.0, 8.0, 4.0, 4.0)
    """Width of the hidden layers over the width of the stage."""
    sr_ratios: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)] = (8, 4, 2, 1)
    """Factor by which keys and values are reduced on each side, for each stage."""
    stage_norm: bool = False
    """Normalise what a stage returns, and hands to the next."""
    dropout: Share = 0.0
    """Share of a block's outputs, and of the embedded patches, dropped."""
    attention_dropout: Share = 0.0
    """Share of the attention weights dropped."""
    drop_path: Share = 0.2
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    norm_eps: PositiveFloat = 1e-5
    """Added to the variance in every layer normalisation."""
    out_indices: FourStages = (0, 1, 2, 3)
    """Stages to return."""

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

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(4 * 2**i for i in self.out_indices)


@component
class PCPVTConfig(TwinsConfig):
    """Twins-PCPVT: a pyramid transformer with convolutional positions (Chu et al., 2021, arXiv:2104.13840)."""

    type: Literal["PCPVT"] = "PCPVT"


@component
class SVTConfig(TwinsConfig):
    """Twins-SVT: attention within windows and across the map by turns (Chu et al., 2021, arXiv:2104.13840)."""

    type: Literal["SVT"] = "SVT"
    embed_dims: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)] = (64, 128, 256, 512)
    """Width of each stage; there are as many stages."""
    depths: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)] = (2, 2, 10, 4)
    """Blocks in each stage; the even ones attend within windows."""
    num_heads: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)] = (2, 4, 8, 16)
    """Attention heads in each stage."""
    mlp_ratios: Annotated[tuple[PositiveFloat, ...], Field(min_length=1, max_length=4)] = (4.0, 4.0, 4.0, 4.0)
    """Width of the hidden layers over the width of the stage."""
    window_sizes: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1, max_length=4)] = (7, 7, 7, 7)
    """Side of the attention windows of each stage, in cells."""
    stage_norm: bool = True
    """Normalise what a stage returns, and hands to the next."""


@component
class MobileViTConfig(ConvolutionalConfig):
    """Inverted residuals with transformers between (Mehta and Rastegari, 2022, arXiv:2110.02178)."""

    type: Literal["MobileViT"] = "MobileViT"
    arch: Literal["xx_small", "x_small", "small"] = "small"
    """Size."""
    projection_act: bool = True
    """Activation behind each transformer's projection, as the paper's code has it; SSSegmentation goes without."""
    drop_path: Share = 0.0
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], Field(min_length=1)] = (0, 1, 2, 3, 4)
    """Stages to return; the last one is widened by a further convolution."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2 * 2**i for i in self.out_indices)


@component
class MobileViTV2Config(ConvolutionalConfig):
    """MobileViT with attention of linear cost (Mehta and Rastegari, 2022, arXiv:2206.02680)."""

    type: Literal["MobileViTV2"] = "MobileViTV2"
    width: Annotated[float, Field(ge=0.5, le=2, multiple_of=0.25)] = 1.0
    """Multiplier of all channels."""
    drop_path: Share = 0.0
    """Share of residual branches dropped in the last block, rising from 0 in the first."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], Field(min_length=1)] = (0, 1, 2, 3, 4)
    """Stages to return."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2 * 2**i for i in self.out_indices)


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
