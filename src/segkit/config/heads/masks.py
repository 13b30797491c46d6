"""Sets of masks, each with a class."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from segkit.config.component import component
from segkit.config.heads.base import HeadConfig, PooledConfig, SampledPointsConfig, Share
from segkit.config.layers import Act, GroupNormConfig, Norm, ReLUConfig

MultipleOfFour = Annotated[int, Field(gt=0, multiple_of=4)]
"""A width whose position encoding has sines and cosines of rows and of columns."""


def _check_heads(channels: int, num_heads: int, name: str) -> None:
    """Refuses a width that the heads of an attention do not divide."""
    if channels % num_heads:
        raise ValueError(f"the {num_heads} heads of an attention must divide {name} (got {channels})")


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
    mask_channels: PositiveInt = 256
    """Width of the cells that masks are made of."""
    query_channels: MultipleOfFour = 256
    """Width of the queries; ``num_heads`` must divide it."""
    num_heads: PositiveInt = 8
    """Heads of the queries' attention."""
    pre_norm: bool = False
    """Normalise before attention and feed forward networks, not after."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        _check_heads(self.query_channels, self.num_heads, "query_channels")
        return self

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {}


@component
class MaskFormerConfig(PooledConfig, MaskHeadConfig):
    """A set of masks, each with a class (Cheng et al., 2021, arXiv:2107.06278). It brings its own losses."""

    type: Literal["MaskFormer"] = "MaskFormer"
    dropout: Share = 0.1
    """Share of values dropped in the transformer in training."""
    channels: PositiveInt = 512
    """Width of the feature pyramid."""
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
    project_always: bool = False
    """Project the deepest feature even where it has the transformer's width."""


@component
class Mask2FormerConfig(SampledPointsConfig, MaskHeadConfig):
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
    feedforward_channels: PositiveInt = 2048
    """Width inside the queries' feed forward networks."""
    decoder_layers: PositiveInt = 9
    """Layers in which the queries look at the maps, one map after the other."""
    project_always: bool = False
    """Project the maps even where they have the queries' width."""
    match_points: PositiveInt = 12544
    """Random points that masks are compared at in matching."""
    num_points: PositiveInt = 12544
    """Points of each mask that the loss counts."""
    oversample_ratio: Annotated[float, Field(ge=1)] = 3.0
    """Random candidates for each of those, of which the most doubtful are taken."""
    class_weight: NonNegativeFloat = 2.0
    mask_weight: NonNegativeFloat = 5.0
    """Factor of the masks' cross entropy, likewise."""
    dice_weight: NonNegativeFloat = 5.0

    @model_validator(mode="after")
    def _encoder_heads_divide(self) -> Self:
        _check_heads(self.channels, self.encoder_heads, "channels")
        return self
