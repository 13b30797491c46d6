"""Feature pyramids that are summed, and the points refined on them."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from segkit.config.component import component
from segkit.config.heads.base import HeadConfig, SampledPointsConfig, Share


@component
class SummedPyramidConfig(HeadConfig):
    """A head that sums the levels of a feature pyramid."""

    channels: PositiveInt = 256
    """Width of the feature pyramid."""
    scale_head_channels: PositiveInt = 128
    """Width of the summed branches."""
    upsample: Literal["nearest", "bilinear"] = "nearest"
    """How the pyramid's way down enlarges a level."""
    strides: tuple[PositiveInt, ...] | None = None
    """Input pixels per cell of each feature, which decide how often it is doubled; null takes the backbone's."""


@component
class SemanticFPNConfig(SummedPyramidConfig):
    """Feature pyramid whose levels are upsampled in steps and summed (Kirillov et al., 2019, arXiv:1901.02446)."""

    type: Literal["SemanticFPN"] = "SemanticFPN"


@component
class PointRendConfig(SampledPointsConfig, SummedPyramidConfig):
    """Masks refined point by point where they are in doubt (Kirillov et al., 2020, arXiv:1912.08193)."""

    type: Literal["PointRend"] = "PointRend"
    dropout: Share = 0.0
    """Share of values dropped before the points' classifier in training."""
    channels: PositiveInt = 256
    """Width of the feature pyramid, and of the points' layers."""
    scale_head_channels: PositiveInt = 128
    """Width of the summed branches that the coarse logits are made from."""
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
    subdivision_steps: NonNegativeInt = 2
    """How often the logits are enlarged and refined in inference."""
    subdivision_points: PositiveInt = 8196
    """Cells classified anew after each enlargement."""
    scale_factor: Annotated[int, Field(ge=2)] = 2
    """Enlargement of a step."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "coarse": self.coarse_weight}
