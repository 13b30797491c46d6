"""What every backbone's options have, and what families share."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, PositiveFloat, PositiveInt

from segkit.config.component import Choice, component
from segkit.config.layers import Act, Norm

Share = Annotated[float, Field(ge=0, lt=1)]
Stage = Annotated[int, Field(ge=0, le=3)]
FourStages = Annotated[tuple[Stage, ...], Field(min_length=1)]
"""Indices into four stages."""
PerLevel = Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=2)]
"""A number for each of two levels."""
Three = Annotated[tuple[PositiveInt, ...], Field(min_length=3, max_length=3)]
PerStage = Annotated[tuple[PositiveInt, ...], Field(min_length=4, max_length=4)]
"""A number for each of four stages."""


@component
class BackboneConfig:
    """Turns images into feature maps, finest first."""

    group: ClassVar[str] = "backbone"

    in_channels: PositiveInt | None = None
    """Channels of the images; null takes those of the data set, and a number is checked against them."""
    pretrained: bool = False
    """Start from the weights that timm offers for this architecture (fetched once, then cached)."""
    weights: Path | None = None
    """Start from this file instead, whatever ``pretrained`` says: a state_dict of timm, torchvision, SSSegmentation or
    segkit; with or without a head."""
    grad_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    @property
    def image_channels(self) -> int:
        """Channels of the images; three where nobody told."""
        return self.in_channels or 3

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell of each returned feature; empty when only the built model can tell."""
        return ()

    @property
    def pools_to_one_cell(self) -> bool:
        """Whether a normalisation sees one cell an image, of which batch statistics need more than one image."""
        return False


Backbone = Annotated[BackboneConfig, Choice("backbone")]


@component
class ConvolutionalConfig(BackboneConfig):
    """A backbone that leaves the choice of its normalisation."""

    norm: Norm | None = None
    """Normalisation; null takes the one of the whole configuration."""


@component
class OwnBackboneConfig(ConvolutionalConfig):
    """A network that timm lacks, written here; no pretrained weights are known."""

    act: Act | None = None
    """Activation; null is the architecture's own: PReLU in CGNet, ReLU in the others."""


class FixedStrides:
    """For a network whose maps have the same strides whatever its options are."""

    STRIDES: ClassVar[tuple[int, ...]]
    """Input pixels per cell of each map."""
    out_indices: tuple[int, ...]

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.STRIDES[i] for i in self.out_indices)


@component
class DropPathConfig(BackboneConfig):
    """A network of residual branches."""

    drop_path: Share = 0.0
    """Share of residual branches dropped in the last block, rising from 0 in the first."""


@component
class LayerNormedConfig(DropPathConfig):
    """What transformers have, and convolutional networks in their shape."""

    norm_eps: PositiveFloat = 1e-6
    """Added to the variance in every layer normalisation."""


@component
class PyramidConfig(BackboneConfig):
    """A network whose maps have half the resolution of the one before, from a quarter of the image's on."""

    out_indices: FourStages = (0, 1, 2, 3)
    """Stages to return."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(4 * 2**i for i in self.out_indices)
