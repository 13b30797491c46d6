"""Decode heads, the necks before them, and auxiliary heads."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from segkit.config.component import Choice, component
from segkit.config.layers import Act, GroupNormConfig, Norm, ReLUConfig
from segkit.config.losses import Losses

Share = Annotated[float, Field(ge=0, lt=1)]
MultipleOfFour = Annotated[int, Field(gt=0, multiple_of=4)]
"""A width whose position encoding has sines and cosines of rows and of columns."""


def check_heads(channels: int, num_heads: int, name: str) -> None:
    """Refuses a width that the heads of an attention do not divide."""
    if channels % num_heads:
        raise ValueError(f"the {num_heads} heads of an attention must divide {name} (got {channels})")


def _power_of_two(factor: float) -> float:
    if factor not in (4, 2, 1, 0.5, 0.25):
        raise ValueError("must be 4, 2, 1, 0.5 or 0.25")
    return factor


Rescale = Annotated[float, AfterValidator(_power_of_two)]


@component
class NeckConfig:
    """Changes the backbone's features before any head sees them."""

    group: ClassVar[str] = "head/neck"

    def count(self, features: int) -> int:
        """How many features come out of ``features``."""
        return features


@component
class Feature2PyramidConfig(NeckConfig):
    """Rescales the equal-sized features of a plain vision transformer to a pyramid (Bao et al., 2021)."""

    type: Literal["Feature2Pyramid"] = "Feature2Pyramid"
    rescales: tuple[Rescale, ...] = (4, 2, 1, 0.5)
    """Factor of each feature's height and width, finest first."""


Neck = Annotated[NeckConfig, Choice("head/neck")]


@component
class HeadConfig:
    """Turns the backbone's features into logits."""

    group: ClassVar[str] = "head"

    neck: Neck | None = None
    """What happens to the features first; auxiliary heads see the outcome too."""
    dropout: Share = 0.1
    """Share of channels dropped before the classifier in training."""
    align_corners: bool = False
    """How every bilinear resize of the head, and of all logits in training, lines up the corners."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        """Training logits by name, with the factor of their losses in the sum; ``main`` is what inference uses."""
        return {"main": 1.0}

    @property
    def pools_to_one_cell(self) -> bool:
        """Whether a normalisation sees one cell an image, of which batch statistics need more than one image."""
        return False


@component
class FCNConfig(HeadConfig):
    """Convolutions on the deepest feature (Long et al., 2015, arXiv:1411.4038)."""

    type: Literal["FCN"] = "FCN"
    channels: PositiveInt = 512
    """Width of the convolutions."""
    num_convs: NonNegativeInt = 2
    """3x3 convolutions before the classifier."""
    depthwise: bool = False
    """Depthwise separable convolutions, as Fast-SCNN uses them."""


@component
class PSPNetConfig(HeadConfig):
    """Pyramid pooling head (Zhao et al., 2017, arXiv:1612.01105)."""

    type: Literal["PSPNet"] = "PSPNet"
    channels: PositiveInt = 512
    """Width of each pooled branch and of the fused feature."""
    pool_scales: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Side lengths of the pooling grids; 1 is the global average."""


@component
class Deeplabv3Config(HeadConfig):
    """Atrous spatial pyramid pooling (Chen et al., 2017, arXiv:1706.05587)."""

    type: Literal["Deeplabv3"] = "Deeplabv3"
    channels: PositiveInt = 512
    """Width of each branch and of the fused feature."""
    dilations: tuple[PositiveInt, ...] = (1, 6, 12, 18)
    """Dilation of each branch; use (1, 12, 24, 36) at output stride 8."""


@component
class Deeplabv3PlusConfig(HeadConfig):
    """Separable ASPP with a decoder on the finest feature (Chen et al., 2018, arXiv:1802.02611)."""

    type: Literal["Deeplabv3Plus"] = "Deeplabv3Plus"
    channels: PositiveInt = 512
    """Width of each branch and of the decoder."""
    shortcut_channels: PositiveInt = 48
    """Width that the finest feature is reduced to."""
    dilations: tuple[PositiveInt, ...] = (1, 6, 12, 18)
    """Dilation of each branch; use (1, 12, 24, 36) at output stride 8."""


@component
class UPerNetConfig(HeadConfig):
    """Pyramid pooling on top of a feature pyramid (Xiao et al., 2018, arXiv:1807.10221)."""

    type: Literal["UPerNet"] = "UPerNet"
    channels: PositiveInt = 512
    """Width of every level."""
    pool_scales: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Side lengths of the pooling grids on the deepest feature."""


@component
class SemanticFPNConfig(HeadConfig):
    """Feature pyramid whose levels are upsampled in steps and summed (Kirillov et al., 2019, arXiv:1901.02446)."""

    type: Literal["SemanticFPN"] = "SemanticFPN"
    channels: PositiveInt = 256
    """Width of the feature pyramid."""
    scale_head_channels: PositiveInt = 128
    """Width of the summed branches."""
    upsample: Literal["nearest", "bilinear"] = "nearest"
    """How the pyramid's way down enlarges a level."""
    strides: tuple[PositiveInt, ...] | None = None
    """Input pixels per cell of each feature, which decide how often it is doubled; null takes the backbone's."""


@component
class LRASPPNetConfig(HeadConfig):
    """Light head of MobileNetV3 (Howard et al., 2019, arXiv:1905.02244)."""

    type: Literal["LRASPPNet"] = "LRASPPNet"
    channels: PositiveInt = 128
    """Width of the deepest feature and of the fused ones."""
    branch_channels: tuple[PositiveInt, ...] = (32, 64)
    """Width of the shortcuts, finest feature first."""
    pool_size: PositiveInt | None = 49
    """Side of the pooling window on the deepest feature, strides (16, 20); a smaller map, or null, is pooled whole."""


@component
class SegformerConfig(HeadConfig):
    """All levels through one linear layer each, fused by a 1x1 convolution (Xie et al., 2021, arXiv:2105.15203)."""

    type: Literal["Segformer"] = "Segformer"
    channels: PositiveInt = 256
    """Width of every level and of the fused feature."""


@component
class PointRendConfig(HeadConfig):
    """Masks refined point by point where they are in doubt (Kirillov et al., 2020, arXiv:1912.08193)."""

    type: Literal["PointRend"] = "PointRend"
    dropout: Share = 0.0
    """Share of values dropped before the points' classifier in training."""
    channels: PositiveInt = 256
    """Width of the feature pyramid, and of the points' layers."""
    scale_head_channels: PositiveInt = 128
    """Width of the summed branches that the coarse logits are made from."""
    upsample: Literal["nearest", "bilinear"] = "nearest"
    """How the pyramid's way down enlarges a level."""
    strides: tuple[PositiveInt, ...] | None = None
    """Input pixels per cell of each feature, which decide how often it is doubled; null takes the backbone's."""
    coarse_num_convs: NonNegativeInt = 0
    """3x3 convolutions before the coarse classifier."""
    coarse_channels: PositiveInt = 256
    """Width of those."""
    coarse_dropout: Share = 0.0
    """Share of channels dropped before the coarse classifier in training."""
    coarse_weight: NonNegativeFloat = 0.4
    """Factor of the coarse logits' losses in the sum."""
    num_layers: NonNegativeInt = 3
    """Layers before the points' classifier."""
    coarse_each_layer: bool = True
    """Append the coarse logits to the input of every layer, not of the first alone."""
    num_points: PositiveInt = 2048
    """Points of an image that are trained at a time."""
    oversample_ratio: Annotated[float, Field(ge=1)] = 3.0
    """Random candidates for each point, of which the most doubtful are taken."""
    importance_ratio: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of the points taken by doubt; the others lie anywhere."""
    subdivision_steps: NonNegativeInt = 2
    """How often the logits are enlarged and refined in inference."""
    subdivision_points: PositiveInt = 8196
    """Cells classified anew after each enlargement."""
    scale_factor: Annotated[int, Field(ge=2)] = 2
    """Enlargement of a step."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "coarse": self.coarse_weight}


@component
class CCNetConfig(HeadConfig):
    """Criss-cross attention, applied again and again (Huang et al., 2019, arXiv:1811.11721)."""

    type: Literal["CCNet"] = "CCNet"
    channels: Annotated[int, Field(ge=8)] = 512
    """Width of the attended and of the fused feature; queries and keys have an eighth."""
    num_recurrence: PositiveInt = 2
    """How often the attention is applied; twice reaches every position."""


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
class PSANetConfig(HeadConfig):
    """Point-wise spatial attention: each position predicts a mask over its surroundings (Zhao et al., 2018)."""

    type: Literal["PSANet"] = "PSANet"
    channels: PositiveInt = 512
    """Width of the attended and of the fused feature."""
    direction: Literal["bi-direction", "collect", "distribute"] = "bi-direction"
    """Whether positions gather from others, spread to them, or both."""
    mask_size: tuple[PositiveInt, PositiveInt] = (97, 97)
    """(height, width) of the mask around a position; odd, twice the shrunken map less one covers all of it."""
    compact: bool = False
    """One mask value for each position of the shrunken map, which must then be of ``mask_size``."""
    shrink_factor: PositiveInt = 2
    """How much smaller the attention's map is."""
    normalization_factor: PositiveFloat | None = 1.0
    """What the attended sum is divided by; null divides by the cells of the mask."""
    psa_softmax: bool = True
    """Each position's mask sums to one."""


@component
class ENCNetConfig(HeadConfig):
    """Channels weighed by learned residual codes, and a loss on which classes are there (arXiv:1803.08904)."""

    type: Literal["ENCNet"] = "ENCNet"
    channels: PositiveInt = 512
    """Width of the encoded feature."""
    num_codes: PositiveInt = 32
    """Codewords that positions are compared with."""
    se_weight: NonNegativeFloat = 0.2
    """Factor of the semantic encoding loss, which asks for the classes of an image; 0 leaves it out."""
    add_lateral: bool = False
    """Fuse the finer features, too."""


@component
class CE2PConfig(HeadConfig):
    """Pyramid pooling with a finest shortcut, refined along predicted edges (Ruan et al., 2019, arXiv:1809.05996)."""

    type: Literal["CE2P"] = "CE2P"
    channels: PositiveInt = 512
    """Width of the pooled and of the fused features."""
    pool_scales: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Side lengths of the pooling grids on the deepest feature."""
    edge_channels: PositiveInt = 256
    """Width of each feature that edges are found in."""
    shortcut_channels: PositiveInt = 48
    """Width that the finest feature is reduced to."""
    stage1_dropout: Share = 0.0
    """Share of channels dropped between the first prediction's feature and the second's; ``dropout`` is behind it."""
    stage1_weight: NonNegativeFloat = 1.0
    """Factor of the first prediction's losses."""
    edge_weight: NonNegativeFloat = 1.0
    """Factor of the loss of the edges between classes."""
    edge_weighted_mean: bool = True
    """Divide that loss by its pixels' weights, which balance the two; false divides by their number."""
    edge_width: PositiveInt = 3
    """Width in pixels of the edges that are asked for."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "stage1": self.stage1_weight}


@component
class ICNeckConfig(NeckConfig):
    """The image cascade: a few convolutions see all of the image, the backbone half, its last stages a quarter.

    Three features come out, for two auxiliary heads and the main one (Zhao et al., 2018, arXiv:1704.08545).
    """

    type: Literal["ICNeck"] = "ICNeck"
    in_channels: PositiveInt = 3
    """Channels of the images."""
    channels: PositiveInt = 128
    """Width of what comes out."""
    light_channels: PositiveInt = 32
    """Width of the convolutions on the full image."""
    pool_channels: PositiveInt = 512
    """Width of the pyramid pooling on the deepest feature."""
    pool_scales: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Side lengths of the pooling grids."""
    branch_channels: tuple[PositiveInt, PositiveInt, PositiveInt] = (64, 256, 256)
    """Width of the branches of full, half and quarter resolution."""

    def count(self, features: int) -> int:
        return 3


@component
class ICNetConfig(HeadConfig):
    """A convolution and a classifier on top of the image cascade (Zhao et al., 2018, arXiv:1704.08545)."""

    type: Literal["ICNet"] = "ICNet"
    neck: Neck | None = ICNeckConfig()
    """The cascade; auxiliary heads see its coarse and its middle feature (levels -3 and -2)."""


@component
class SETRUPConfig(HeadConfig):
    """Convolutions with an upsampling after each, on a vision transformer's feature (arXiv:2012.15840).

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
    input_norm: bool = True
    """Layer normalisation of each position first."""
    norm_eps: PositiveFloat = 1e-6
    """Its eps."""


@component
class MLANeckConfig(NeckConfig):
    """Normalises a vision transformer's features, and sums them from the deepest on (arXiv:2012.15840)."""

    type: Literal["MLANeck"] = "MLANeck"
    channels: PositiveInt = 256
    """Width of what comes out: one feature for each, the deepest first."""
    norm_eps: PositiveFloat = 1e-6
    """Eps of the layer normalisation."""


@component
class SETRMLAConfig(HeadConfig):
    """Every level convolved and enlarged by itself, then classified together (arXiv:2012.15840)."""

    type: Literal["SETRMLA"] = "SETRMLA"
    channels: PositiveInt = 128
    """Width of the convolutions of a level."""
    scale_factor: PositiveInt = 4
    """Enlargement of each level."""
    neck: Neck | None = MLANeckConfig()
    """The aggregation of the levels; auxiliary heads see its outcome, the deepest first."""


@component
class APCNetConfig(HeadConfig):
    """Regions of several sizes weighed for each position (He et al., 2019, Adaptive Pyramid Context Network)."""

    type: Literal["APCNet"] = "APCNet"
    channels: PositiveInt = 512
    """Width of each branch and of the fused feature."""
    pool_scales: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Side lengths of the grids of regions."""


@component
class DMNetConfig(HeadConfig):
    """Convolutions whose filters are made from the image (He et al., 2019, Dynamic Multi-scale Filters)."""

    type: Literal["DMNet"] = "DMNet"
    channels: PositiveInt = 512
    """Width of each branch and of the fused feature."""
    filter_sizes: tuple[PositiveInt, ...] = (1, 3, 5, 7)
    """Side of each branch's filter."""
    fusion: bool = False
    """A 1x1 convolution after each."""


@component
class ISANetConfig(HeadConfig):
    """Attention between distant positions, then between near ones (Huang et al., 2019, arXiv:1907.12273)."""

    type: Literal["ISANet"] = "ISANet"
    channels: PositiveInt = 512
    """Width of the attended and of the fused feature."""
    attention_channels: PositiveInt = 256
    """Width of queries and keys."""
    down_factor: tuple[PositiveInt, PositiveInt] = (8, 8)
    """(height, width) of the blocks within which positions are near."""


@component
class ANNNetConfig(HeadConfig):
    """Attention to a few pooled positions (Zhu et al., 2019, arXiv:1908.07678)."""

    type: Literal["ANNNet"] = "ANNNet"
    channels: PositiveInt = 512
    """Width of the second attention and of the fused feature."""
    attention_channels: PositiveInt = 256
    """Width of queries and keys, and of the first attention's values."""
    pool_scales: tuple[PositiveInt, ...] = (1, 3, 6, 8)
    """Side lengths of the grids that keys and values are pooled to."""
    stages: PositiveInt = 1
    """Attentions side by side, which are summed."""


@component
class MaskHeadConfig(HeadConfig):
    """A set of masks, each with a class. Such heads bring their losses along; ``loss`` is of auxiliary heads alone."""

    num_queries: PositiveInt = 100
    """Masks that are predicted; more than the classes that an image shows."""
    deep_supervision: bool = True
    """Judge the masks of every decoder layer, not of the last alone."""
    class_weight: NonNegativeFloat = 1.0
    """Factor of the classes' cross entropy, and of their probability in matching."""
    mask_weight: NonNegativeFloat = 20.0
    """Factor of the masks' loss at each place, likewise."""
    dice_weight: NonNegativeFloat = 1.0
    """Factor of the masks' Dice loss, likewise."""
    no_object_weight: NonNegativeFloat = 0.1
    """Weight, in the cross entropy, of queries that should say that there is no object."""
    count_ignored: bool = False
    """Count ignored pixels, as outside of every mask, as the papers' code does; false leaves them out."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {}


@component
class MaskFormerConfig(MaskHeadConfig):
    """A set of masks, each with a class (Cheng et al., 2021, arXiv:2107.06278). It brings its own losses."""

    type: Literal["MaskFormer"] = "MaskFormer"
    dropout: Share = 0.1
    """Share of values dropped in the transformer in training."""
    channels: PositiveInt = 512
    """Width of the feature pyramid."""
    pool_scales: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Side lengths of the pooling grids on the deepest feature."""
    mask_channels: PositiveInt = 256
    """Width of the cells that masks are made of."""
    query_channels: MultipleOfFour = 256
    """Width of the transformer; ``num_heads`` must divide it."""
    num_heads: PositiveInt = 8
    """Heads of each attention."""
    feedforward_channels: PositiveInt = 2048
    """Width inside the transformer's feed forward networks."""
    encoder_layers: NonNegativeInt = 0
    """Layers in which the deepest feature's cells look at each other."""
    decoder_layers: PositiveInt = 6
    """Layers in which the queries look at them."""
    pre_norm: bool = False
    """Normalise before attention and feed forward networks, not after."""
    project_always: bool = False
    """Project the deepest feature even where it has the transformer's width."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads(self.query_channels, self.num_heads, "query_channels")
        return self


@component
class Mask2FormerConfig(MaskHeadConfig):
    """Queries that look only inside of their masks (Cheng et al., 2022, arXiv:2112.01527). It brings its own losses."""

    type: Literal["Mask2Former"] = "Mask2Former"
    dropout: Share = 0.0
    """Share of values dropped in the pixel decoder's transformer in training."""
    norm: Norm = GroupNormConfig(num_groups=32)
    """Normalisation in the pixel decoder, whatever the other layers have."""
    act: Act = ReLUConfig()
    """Activation in the pixel decoder."""
    channels: MultipleOfFour = 256
    """Width of the pixel decoder; ``encoder_heads`` must divide it."""
    encoder_levels: PositiveInt = 3
    """How many features, the coarsest, look at each other; the finer ones join in a pyramid."""
    encoder_layers: NonNegativeInt = 6
    """Layers in which they do."""
    encoder_heads: PositiveInt = 8
    """Heads of their deformable attention."""
    encoder_feedforward_channels: PositiveInt = 1024
    """Width inside their feed forward networks."""
    mask_channels: PositiveInt = 256
    """Width of the cells that masks are made of."""
    query_channels: MultipleOfFour = 256
    """Width of the queries; ``num_heads`` must divide it."""
    num_heads: PositiveInt = 8
    """Heads of the queries' attention."""
    feedforward_channels: PositiveInt = 2048
    """Width inside the queries' feed forward networks."""
    decoder_layers: PositiveInt = 9
    """Layers in which the queries look at the maps, one map after the other."""
    pre_norm: bool = False
    """Normalise before attention and feed forward networks, not after."""
    project_always: bool = False
    """Project the maps even where they have the queries' width."""
    match_points: PositiveInt = 12544
    """Random points that masks are compared at in matching."""
    num_points: PositiveInt = 12544
    """Points of each mask that the loss counts."""
    oversample_ratio: Annotated[float, Field(ge=1)] = 3.0
    """Random candidates for each of those, of which the most doubtful are taken."""
    importance_ratio: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of the points taken by doubt; the others lie anywhere."""
    class_weight: NonNegativeFloat = 2.0
    """Factor of the classes' cross entropy, and of their probability in matching."""
    mask_weight: NonNegativeFloat = 5.0
    """Factor of the masks' cross entropy, likewise."""
    dice_weight: NonNegativeFloat = 5.0
    """Factor of the masks' Dice loss, likewise."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads(self.query_channels, self.num_heads, "query_channels")
        check_heads(self.channels, self.encoder_heads, "channels")
        return self


@component
class OCRNetConfig(HeadConfig):
    """Each cell attends to one vector a class, gathered by coarse logits (Yuan et al., 2020, arXiv:1909.11065)."""

    type: Literal["OCRNet"] = "OCRNet"
    channels: PositiveInt = 512
    """Width of the cells' and the classes' vectors."""
    attention_channels: PositiveInt = 256
    """Width of queries, keys and values."""
    dropout: Share = 0.0
    """Share of channels dropped before the classifier in training."""
    coarse_channels: PositiveInt = 512
    """Width of the convolutions that make the coarse logits, from the last feature but one."""
    coarse_convs: NonNegativeInt = 1
    """3x3 convolutions before the coarse logits."""
    coarse_dropout: Share = 0.0
    """Share of channels dropped before the coarse logits in training."""
    coarse_weight: NonNegativeFloat = 0.4
    """Factor of the losses of the coarse logits, output ``aux``, in the sum."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "aux": self.coarse_weight}


@component
class ISNetConfig(HeadConfig):
    """Context of the image and of the cells of the same class (Jin et al., 2021, arXiv:2108.12382)."""

    type: Literal["ISNet"] = "ISNet"
    channels: PositiveInt = 512
    """Width of the cells' vectors."""
    attention_channels: PositiveInt = 256
    """Width of queries, keys and values."""
    concat_input: bool = True
    """Stack the context of the image with that of the classes; without it only the latter is used."""
    use_shortcut: bool = False
    """Bring the outcome to the finest feature, and classify there."""
    shortcut_channels: PositiveInt = 48
    """Width that the finest feature is reduced to."""
    stage1_weight: NonNegativeFloat = 0.4
    """Factor of the losses of the coarse logits, output ``stage1``, in the sum."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "stage1": self.stage1_weight}


@component
class ClassMemoryConfig(HeadConfig):
    """A memory of the classes that training keeps."""

    channels: PositiveInt = 512
    """Width of the cells' and the classes' vectors."""
    attention_channels: PositiveInt = 256
    """Width of queries, keys and values."""
    out_channels: PositiveInt = 512
    """Width after the memory is read."""
    hard: bool = False
    """Read the vector of the most probable class; false mixes all by their probability."""
    use_context: bool = True
    """Add context within the image."""
    context: Literal["aspp", "ppm"] = "aspp"
    """The pyramid that gives it: dilated convolutions or pooled grids."""
    dilations: tuple[PositiveInt, ...] = (1, 12, 24, 36)
    """Dilation of each branch of an aspp."""
    pool_scales: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Side lengths of the grids of a ppm."""
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of a step in the memory of the classes that it shows."""
    momentum_follows_lr: bool = False
    """Multiply it by the learning rate over ``base_lr``."""
    base_lr: PositiveFloat | None = None
    """The learning rate at which the momentum is as given."""

    @model_validator(mode="after")
    def _needs_base(self) -> Self:
        if self.momentum_follows_lr and self.base_lr is None:
            raise ValueError("momentum_follows_lr needs base_lr")
        return self

    @property
    def pools_to_one_cell(self) -> bool:
        return self.use_context and (self.context == "aspp" or 1 in self.pool_scales)

    def momentum_at(self, learning_rate: float) -> float:
        """The momentum of a step."""
        if not self.momentum_follows_lr or self.base_lr is None:
            return self.momentum
        return self.momentum / self.base_lr * learning_rate


@component
class MCIBIConfig(ClassMemoryConfig):
    """Cells attend to a memory of the classes beyond the image (Jin et al., 2021, arXiv:2108.11819)."""

    type: Literal["MCIBI"] = "MCIBI"
    slots: PositiveInt = 1
    """Vectors that the memory has for each class."""
    update: Literal["cosine_similarity", "mean"] = "cosine_similarity"
    """How the pixels of a class weigh in a step: the more the less they are like the memory, or all the same."""
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of a step in the memory of the classes that it shows."""
    momentum_follows_lr: bool = True
    """Multiply it by the learning rate over ``base_lr``."""
    base_lr: PositiveFloat | None = 0.009
    """The learning rate at which the momentum is as given; 0.9 times the optimiser's replaces the memory at first."""
    memory_loss: bool = False
    """Classify the vectors of the memory too, from the second epoch on."""
    memory_weight: NonNegativeFloat = 1.0
    """Factor of that loss in the sum."""
    stage1_weight: NonNegativeFloat = 0.4
    """Factor of the losses of the coarse logits, output ``stage1``, in the sum."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "stage1": self.stage1_weight}


@component
class StageClassifierConfig:
    """A convolution and a classifier."""

    channels: PositiveInt = 512
    """Width of the convolution."""
    dropout: Share | None = None
    """Share of its channels dropped in training; null takes the head's."""
    kernel_size: Literal[1, 3, 5, 7] = 1
    """Side of its kernel."""


@component
class MCIBIPlusPlusConfig(ClassMemoryConfig):
    """Cells attend to a memory of the classes' distributions (Jin et al., 2022, arXiv:2209.04471)."""

    type: Literal["MCIBIPlusPlus"] = "MCIBIPlusPlus"
    use_context: bool = False
    """Add context within the image."""
    context_attention: bool = True
    """Let each cell's context attend to what was read from the memory."""
    warmup_epochs: NonNegativeInt = 0
    """Before this epoch, counted from 1, training reads the memory by the labels."""
    downsample: bool = False
    """Read the memory at half the size."""
    read_by_pr: bool = False
    """Read it by the coarse logits ``pr`` even where there are logits of the context."""
    stack_before_pyramid: bool = True
    """Let what was read flow down the pyramid together with the context; false stacks it at the end."""
    pyramid_channels: PositiveInt | None = None
    """Width of a feature pyramid over the finer features, equal to that of what flows down; null has none."""
    pyramid_out_channels: PositiveInt = 512
    """Width of each finer level in the end."""
    pr: StageClassifierConfig = StageClassifierConfig()
    """Makes the coarse logits of the cells."""
    cwi: StageClassifierConfig | None = StageClassifierConfig()
    """Makes coarse logits of the context, if there is one; null makes none."""
    cls: StageClassifierConfig = StageClassifierConfig()
    """Makes the final logits."""
    pr_weight: NonNegativeFloat = 0.4
    """Factor of the losses of the output ``pr`` in the sum."""
    cwi_weight: NonNegativeFloat = 1.0
    """Factor of the losses of the output ``cwi`` in the sum."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        has_cwi = self.use_context and self.cwi is not None
        return {"main": 1.0, "pr": self.pr_weight} | ({"cwi": self.cwi_weight} if has_cwi else {})


@component
class IDRNetConfig(HeadConfig):
    """Classes of an image exchange features by relations learnt from leaving classes out (arXiv:2310.10755)."""

    type: Literal["IDRNet"] = "IDRNet"
    channels: PositiveInt = 512
    """Width of the cells' and the classes' vectors."""
    attention_channels: PositiveInt = 256
    """Width of queries, keys and values among the related features."""
    context: Literal["aspp", "ppm"] | None = None
    """The pyramid that gives coarse context, dilated convolutions or pooled grids; null has none."""
    dilations: tuple[PositiveInt, ...] = (1, 12, 24, 36)
    """Dilation of each branch of an aspp."""
    pool_scales: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Side lengths of the grids of a ppm."""
    context_attention_channels: PositiveInt = 256
    """Width of queries, keys and values among the coarse context."""
    refine_before: bool = False
    """Let the coarse context attend to itself before coarse logits read it."""
    refine_after: bool = False
    """Let it do so after that, unless it has before."""
    coarse_by_pixels: bool = False
    """Make the coarse logits without the coarse context."""
    pyramid_channels: PositiveInt | None = None
    """Width of the coarse context and of a feature pyramid below it; null has no pyramid."""
    pyramid_out_channels: PositiveInt = 512
    """Width of each finer level of the pyramid in the end."""
    pyramid_first: bool = False
    """Build the pyramid before the coarse logits."""
    pyramid_last: bool = True
    """Build it after them, unless it was before."""
    relation_momentum: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of an image in the relations of the class that it leaves out."""
    class_momentum: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of a step in the mean features of the classes that it shows."""
    stage1_weight: NonNegativeFloat = 0.4
    """Factor of the losses of the coarse logits, output ``stage1``, in the sum."""

    @property
    def pools_to_one_cell(self) -> bool:
        return self.context == "aspp" or (self.context == "ppm" and 1 in self.pool_scales)

    @property
    def refine(self) -> Literal["before", "after"] | None:
        """When the coarse context attends to itself."""
        if self.refine_before:
            return "before"
        return "after" if self.refine_after else None

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "stage1": self.stage1_weight}


@component
class NonLocalConfig(HeadConfig):
    """Each cell sees all others."""

    channels: PositiveInt = 512
    """Width of the convolutions."""
    reduction: PositiveInt = 2
    """Their width over that in which cells are related."""
    mode: Literal["embeddedgaussian", "gaussian", "dotproduct", "concatenation"] = "embeddedgaussian"
    """How: softmax of embedded products, or of plain ones; products; a layer on pairs."""
    use_scale: bool = True
    """Divide embedded products by the square root of their width before the softmax."""


@component
class NonLocalNetConfig(NonLocalConfig):
    """Each cell sees all others, weighted by likeness (Wang et al., 2018, arXiv:1711.07971)."""

    type: Literal["NonLocalNet"] = "NonLocalNet"


@component
class DNLNetConfig(NonLocalConfig):
    """Relations of cells and salience, disentangled (Yin et al., 2020, arXiv:2006.06668)."""

    type: Literal["DNLNet"] = "DNLNet"
    temperature: PositiveFloat = 0.05
    """What embedded products are divided by before the softmax."""


@component
class GCNetConfig(HeadConfig):
    """One context vector of the image for all cells (Cao et al., 2019, arXiv:1904.11492)."""

    type: Literal["GCNet"] = "GCNet"
    channels: PositiveInt = 512
    """Width of the convolutions."""
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Width of the layers that change the vector, over ``channels``."""
    pooling: Literal["att", "avg"] = "att"
    """Weigh cells by attention, or all the same."""
    fusions: tuple[Literal["channel_add", "channel_mul"], ...] = ("channel_add",)
    """How the vector changes the cells."""
    block_norm: Literal["LayerNorm", "default"] = "LayerNorm"
    """Normalise the vector over its channels, or as the other layers."""

    @property
    def pools_to_one_cell(self) -> bool:
        return self.block_norm == "default"


@component
class DANetConfig(HeadConfig):
    """Attention over positions and over channels (Fu et al., 2019, arXiv:1809.02983)."""

    type: Literal["DANet"] = "DANet"
    channels: PositiveInt = 512
    """Width of both branches."""
    attention_channels: PositiveInt = 64
    """Width of queries and keys of positions."""
    pam_weight: NonNegativeFloat = 1.0
    """Factor of the losses of positions alone, output ``pam``, in the sum."""
    cam_weight: NonNegativeFloat = 1.0
    """Factor of the losses of channels alone, output ``cam``, in the sum."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "pam": self.pam_weight, "cam": self.cam_weight}


Head = Annotated[HeadConfig, Choice("head")]


@component
class AuxiliaryConfig:
    """A second head on an earlier feature, for training only."""

    head: Head = FCNConfig(channels=512, num_convs=1)
    """Any head; it sees the features up to ``level``."""
    level: int = -2
    """Which of the backbone's features is its deepest, counted from the finest (0) or from the last (-1)."""
    weight: NonNegativeFloat = 0.4
    """Factor of this head's losses in the sum."""
    loss: Losses | None = None
    """Its losses; null takes the main head's."""
