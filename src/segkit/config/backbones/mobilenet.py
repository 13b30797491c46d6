"""MobileNet V2 and V3."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from segkit.config.backbones.base import ConvolutionalConfig
from segkit.config.component import component
from segkit.config.layers import Act


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
