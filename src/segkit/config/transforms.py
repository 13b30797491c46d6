"""Steps of the data pipeline, in the order of the mapping that holds them."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from segkit.config import photometric as photometric  # its steps are options, too
from segkit.config.component import Choice, component
from segkit.config.transform_types import CountRange, PositiveRange, Probability, Size
from segkit.config.transform_types import TransformConfig as TransformConfig  # for plug-ins, too

ImageInterpolation = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]


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


def _not_empty(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] >= bounds[1]:
        raise ValueError("the second number must be greater; it is never drawn itself")
    return bounds


@component
class RandomShortestEdgeResizeConfig(TransformConfig):
    """Scales the shorter side to a random length, unless the longer one would pass its bound."""

    type: Literal["RandomShortestEdgeResize"] = "RandomShortestEdgeResize"
    short_edge_range: Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(_not_empty)] = (256, 768)
    """Pixels of the shorter side: whole numbers from the first on and below the second."""
    max_size: PositiveInt = 1024
    """Bound of the longer side."""
    interpolation: ImageInterpolation = "bilinear"
    """Of the image."""


@component
class RandomChoiceResizeConfig(TransformConfig):
    """Resizes to one of several sizes."""

    type: Literal["RandomChoiceResize"] = "RandomChoiceResize"
    scales: Annotated[tuple[PositiveInt | Size, ...], Field(min_length=1)] = (256, 384, 512, 640, 768)
    """Sizes to choose from: ``short_edge_length`` of ResizeShortestEdge, or ``output_size`` of Resize."""
    resize_type: Literal["Resize", "ResizeShortestEdge"] = "ResizeShortestEdge"
    """What is done with the chosen size."""
    max_size: PositiveInt = 2048
    """Bound of the longer side, of ResizeShortestEdge."""
    keep_ratio: bool = True
    """Fit inside the bounds, of Resize; false stretches to them."""
    scale_range: PositiveRange | None = None
    """The bounds of Resize are multiplied by a random factor in this range; null leaves them."""
    min_size: PositiveInt | None = None
    """The shorter side is at least this long, after Resize."""
    interpolation: ImageInterpolation = "bilinear"
    """Of the image."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.resize_type == "ResizeShortestEdge" and not all(isinstance(scale, int) for scale in self.scales):
            raise ValueError("ResizeShortestEdge takes single numbers as scales, the lengths of the shorter side")
        return self


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
    swaps: tuple[tuple[NonNegativeInt, NonNegativeInt], ...] | None = None
    """Pairs of class ids to exchange; null takes the classes whose names differ in left and right alone."""


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
class RandomMosaicConfig(TransformConfig):
    """Four images around a random centre (Bochkovskiy et al., 2020, arXiv:2004.10934)."""

    type: Literal["RandomMosaic"] = "RandomMosaic"
    for_training: ClassVar[bool] = True
    prob: Probability = 0.5
    """How often; else the image stays as it is."""
    img_scale: Size = (640, 640)
    """(height, width) that each image is fitted into; the mosaic is twice as large."""
    center_ratio_range: PositiveRange = (0.5, 1.5)
    """The centre is drawn from this range, times ``img_scale``."""
    fill: NonNegativeFloat = 0.0
    """Value of image pixels that no image covers; their label is ignored."""
    interpolation: ImageInterpolation = "bilinear"
    """Of the images."""

    @model_validator(mode="after")
    def _centre_inside(self) -> Self:
        if self.center_ratio_range[1] >= 2:
            raise ValueError("center_ratio_range must stay below 2, where the mosaic ends")
        return self


@component
class EdgeExtractorConfig(TransformConfig):
    """Marks where classes meet, as ``Sample.edges``, for heads of your own; CE2P makes its edges by itself."""

    type: Literal["EdgeExtractor"] = "EdgeExtractor"
    changes_labels: ClassVar[bool] = False
    edge_width: PositiveInt = 3
    """Width in pixels."""


@component
class AlbumentationsWrapperConfig(TransformConfig):
    """Any transform of albumentations, seeded from the sample's generator."""

    type: Literal["AlbumentationsWrapper"] = "AlbumentationsWrapper"
    name: str = "HorizontalFlip"
    """Class in albumentations."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Its arguments."""


@component
class ToTensorConfig(TransformConfig):
    """Pixels as float32. Loaders hand over tensors with or without it; known recipes name it."""

    type: Literal["ToTensor"] = "ToTensor"
    changes_labels: ClassVar[bool] = False


@component
class NormalizeConfig(TransformConfig):
    """(x - mean) / std for each channel, computed on the device."""

    type: Literal["Normalize"] = "Normalize"
    changes_labels: ClassVar[bool] = False
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    """Of each channel, in the image's own units; RGB order."""
    std: tuple[PositiveFloat, ...] = (58.395, 57.12, 57.375)
    """Of each channel."""


@component
class PaddingConfig(TransformConfig):
    """Pads to a size, the image in the middle, after normalisation; labels there are ignored."""

    type: Literal["Padding"] = "Padding"
    changes_labels: ClassVar[bool] = False
    output_size: Size = (512, 512)
    """(height, width)."""
    fill: float = 0.0
    """Value after normalisation."""


Transform = Annotated[TransformConfig, Choice("transform")]
Transforms = dict[str, Transform]
