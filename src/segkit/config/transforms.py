"""Steps of the data pipeline, in the order of the mapping that holds them."""

from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

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

N = TypeVar("N", int, float)


def _ascending(bounds: tuple[N, N]) -> tuple[N, N]:
    if bounds[0] > bounds[1]:
        raise ValueError("must not go down: the smaller number comes first")
    return bounds


Probability = Annotated[float, Field(ge=0, le=1)]
Size = tuple[PositiveInt, PositiveInt]
Range = Annotated[tuple[NonNegativeFloat, NonNegativeFloat], AfterValidator(_ascending)]
PositiveRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)]
CountRange = Annotated[tuple[NonNegativeInt, NonNegativeInt], AfterValidator(_ascending)]
ImageInterpolation = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]


@component
class TransformConfig:
    """Changes a sample: image, mask, or both."""

    group: ClassVar[str] = "transform"


@component
class ResizeConfig(TransformConfig):
    """Scales the image; the mask follows by nearest neighbour."""

    type: Literal["Resize"] = "Resize"
    output_size: Size = (2048, 512)
    """Bounds of the longer and the shorter side (their order does not matter), before ``scale_range``."""
    keep_ratio: bool = True
    """Fit inside the bounds; false stretches to them."""
    scale_range: PositiveRange | None = (0.5, 2.0)
    """The bounds are multiplied by a random factor in this range; null leaves them."""
    min_size: PositiveInt | None = None
    """The shorter side is at least this long."""
    interpolation: ImageInterpolation = "bilinear"
    """Of the image."""


@component
class ResizeShortestEdgeConfig(TransformConfig):
    """Scales the shorter side to a length, unless the longer one would pass its bound."""

    type: Literal["ResizeShortestEdge"] = "ResizeShortestEdge"
    short_edge_length: PositiveInt = 512
    """Pixels of the shorter side."""
    max_size: PositiveInt = 2048
    """Bound of the longer side."""
    interpolation: ImageInterpolation = "bilinear"
    """Of the image."""


@component
class RandomCropConfig(TransformConfig):
    """Cuts a random window, trying up to ten times for one that no class fills."""

    type: Literal["RandomCrop"] = "RandomCrop"
    crop_size: Size = (512, 512)
    """(height, width); a smaller image keeps its size and is padded later."""
    one_category_max_ratio: Annotated[float, Field(gt=0)] | None = 0.75
    """A window is taken if its commonest class covers a smaller share of the labelled pixels; null takes any."""


@component
class RandomFlipConfig(TransformConfig):
    """Mirrors left to right, exchanging the classes that name a side."""

    type: Literal["RandomFlip"] = "RandomFlip"
    prob: Probability = 0.5
    """How often."""
    swaps: tuple[tuple[NonNegativeInt, NonNegativeInt], ...] = ()
    """Pairs of class ids to exchange, such as left arm and right arm."""


@component
class RandomRotationConfig(TransformConfig):
    """Turns about the centre; the canvas keeps its size."""

    type: Literal["RandomRotation"] = "RandomRotation"
    prob: Probability = 0.5
    """How often."""
    max_angle: Annotated[int, Field(ge=1, le=180)] = 30
    """Whole degrees are drawn from -max_angle to max_angle, both included."""
    fill: NonNegativeFloat = 0.0
    """Value of image pixels that come from outside; their label is ignored."""
    interpolation: ImageInterpolation = "bicubic"
    """Of the image."""


@component
class PhotoMetricDistortionConfig(TransformConfig):
    """Changes brightness, contrast, saturation and hue, each with probability 1/2."""

    type: Literal["PhotoMetricDistortion"] = "PhotoMetricDistortion"
    brightness_delta: NonNegativeFloat = 32.0
    """Grey levels added, at most."""
    contrast_range: Range = (0.5, 1.5)
    """Factor of all channels."""
    saturation_range: Range = (0.5, 1.5)
    """Factor of the saturation."""
    hue_delta: Annotated[int, Field(ge=0, le=90)] = 18
    """Shift of the hue, in steps of 2 degrees, at most."""


@component
class RandomCutOutConfig(TransformConfig):
    """Blanks rectangles (DeVries and Taylor, 2017, arXiv:1708.04552)."""

    type: Literal["RandomCutOut"] = "RandomCutOut"
    prob: Probability = 0.5
    """How often."""
    n_holes: CountRange = (1, 3)
    """Least and greatest number of rectangles."""
    cutout_shape: tuple[Size, ...] = ()
    """Rectangles to choose from, as (width, height) in pixels; give this or ``cutout_ratio``."""
    cutout_ratio: tuple[tuple[Probability, Probability], ...] = ((0.1, 0.1),)
    """Rectangles to choose from, as shares of (width, height)."""
    fill: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] = (0.0, 0.0, 0.0)
    """Colour of the blanked pixels, repeated over further channels; their label is ignored."""

    @model_validator(mode="after")
    def _has_rectangles(self) -> Self:
        if not self.cutout_shape and not self.cutout_ratio:
            raise ValueError("give rectangles to choose from, in cutout_shape or cutout_ratio")
        return self


@component
class AlbumentationsWrapperConfig(TransformConfig):
    """Any transform of albumentations, seeded from the sample's generator."""

    type: Literal["AlbumentationsWrapper"] = "AlbumentationsWrapper"
    name: str = "HorizontalFlip"
    """Class in albumentations."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Its arguments."""


@component
class NormalizeConfig(TransformConfig):
    """(x - mean) / std for each channel, computed on the device."""

    type: Literal["Normalize"] = "Normalize"
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    """Of each channel, in the image's own units; RGB order."""
    std: tuple[PositiveFloat, ...] = (58.395, 57.12, 57.375)
    """Of each channel."""


@component
class PaddingConfig(TransformConfig):
    """Pads to a size, the image in the middle, after normalisation; labels there are ignored."""

    type: Literal["Padding"] = "Padding"
    output_size: Size = (512, 512)
    """(height, width)."""
    fill: float = 0.0
    """Value after normalisation."""


Transform = Annotated[TransformConfig, Choice("transform")]
Transforms = dict[str, Transform]
