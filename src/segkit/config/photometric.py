"""Steps of the data pipeline that change the values of the pixels, and leave them and their labels in place."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from segkit.config.component import component
from segkit.config.transform_types import Probability, Range, TransformConfig


def _odd(length: int) -> int:
    if length % 2 == 0:
        raise ValueError("must be odd, so that it has a middle")
    return length


@component
class PhotometricConfig(TransformConfig):
    """Changes the image alone."""

    changes_labels: ClassVar[bool] = False


@component
class PhotoMetricDistortionConfig(PhotometricConfig):
    """Changes brightness, contrast, saturation and hue, each with probability 1/2; for 8-bit RGB."""

    needs: ClassVar[Literal["any", "rgb"]] = "rgb"
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
class AdjustGammaConfig(PhotometricConfig):
    """x ** (1 / gamma) of values in 0 to 1; for 8 and 16 bits, any number of channels."""

    type: Literal["AdjustGamma"] = "AdjustGamma"
    gamma: PositiveFloat = 1.0
    """Above 1 is brighter, below is darker."""


@component
class CLAHEConfig(PhotometricConfig):
    """Contrast-limited adaptive histogram equalisation of each channel (Zuiderveld, 1994); for 8 and 16 bits."""

    type: Literal["CLAHE"] = "CLAHE"
    clip_limit: PositiveFloat = 40.0
    """Bound of the contrast."""
    tile_grid_size: tuple[PositiveInt, PositiveInt] = (8, 8)
    """Tiles along the width and along the height, each with a histogram of its own."""


@component
class RerangeConfig(PhotometricConfig):
    """Maps the image's own least and greatest value to two others; the result is float32."""

    type: Literal["Rerange"] = "Rerange"
    min_value: float = 0.0
    """New least value."""
    max_value: float = 255.0
    """New greatest value."""


@component
class RGB2GrayConfig(PhotometricConfig):
    """Weighted sum of the three channels; the result is float32."""

    type: Literal["RGB2Gray"] = "RGB2Gray"
    needs: ClassVar[Literal["any", "rgb"]] = "rgb"
    out_channels: PositiveInt | None = None
    """The sum is repeated over so many channels; null keeps three. The model sees this number of channels."""
    weights: tuple[float, float, float] = (0.299, 0.587, 0.114)
    """Of red, green and blue."""


@component
class RandomGaussianBlurConfig(PhotometricConfig):
    """Gaussian blur with a kernel of fixed size, as OpenCV has it; for any image."""

    type: Literal["RandomGaussianBlur"] = "RandomGaussianBlur"
    prob: Probability = 0.5
    """How often."""
    sigma: Range = (0.0, 1.0)
    """Standard deviation in pixels is drawn from this range; 0 leaves the image."""
    kernel_size: Annotated[PositiveInt, AfterValidator(_odd)] = 3
    """Side of the kernel."""


@component
class PILRandomGaussianBlurConfig(PhotometricConfig):
    """Gaussian blur of any width, as Pillow approximates it; for 8 bits."""

    type: Literal["PILRandomGaussianBlur"] = "PILRandomGaussianBlur"
    prob: Probability = 0.5
    """How often."""
    radius: Range = (0.0, 1.0)
    """Radius in pixels is drawn from this range."""
