"""ResNet and ResNeSt."""

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from segkit.config.backbones.base import ConvolutionalConfig, PyramidConfig
from segkit.config.component import component
from segkit.config.layers import Act


@component
class ResNetFamilyConfig(PyramidConfig, ConvolutionalConfig):
    """What residual networks have whose strides dilation can replace."""

    output_stride: Literal[8, 16, 32] = 8
    """Input pixels per cell of the last feature; dilation makes up for the strides left out."""
    stem_channels: PositiveInt = 64
    """Channels after the stem; half of it inside a deep stem."""
    contract_dilation: bool = True
    """The first block of a dilated stage uses half its dilation."""

    @model_validator(mode="after")
    def _stem_fits(self) -> Self:
        if self.stem_channels % 2:
            raise ValueError("stem_channels must be even, as a deep stem is half as wide inside")
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(min(4 * 2**i, self.output_stride) for i in self.out_indices)


@component
class ResNetConfig(ResNetFamilyConfig):
    """Residual network (He et al., 2016, arXiv:1512.03385)."""

    type: Literal["ResNet"] = "ResNet"
    depth: Literal[18, 34, 50, 101, 152] = 50
    """Layers."""
    deep_stem: bool = False
    """Three 3x3 convolutions instead of one 7x7 (ResNet-C, arXiv:1812.01187)."""
    base_channels: PositiveInt = 64
    """Width of the first stage; it doubles from stage to stage."""
    avg_down: bool = False
    """Average pooling before the 1x1 convolution of a shortcut that shrinks (ResNet-D, arXiv:1812.01187)."""
    style: Literal["pytorch", "caffe"] = "pytorch"
    """Where a bottleneck shrinks: in its 3x3 convolution (pytorch) or in its first 1x1 (caffe)."""
    act: Act | None = None
    """Activation; null is ReLU."""


@component
class ResNeStConfig(ResNetFamilyConfig):
    """ResNet whose blocks weigh two groups of channels against each other (Zhang et al., 2020, arXiv:2004.08955)."""

    type: Literal["ResNeSt"] = "ResNeSt"
    depth: Literal[50, 101, 152, 200] = 101
    """Layers."""
    stem_channels: PositiveInt = 128
    """Channels after the stem of three 3x3 convolutions; half of it inside. timm's weights of depth 50 have 64."""

    @property
    def pools_to_one_cell(self) -> bool:
        return True
