"""UNet."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from segkit.config.backbones.base import OwnBackboneConfig
from segkit.config.component import component


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
