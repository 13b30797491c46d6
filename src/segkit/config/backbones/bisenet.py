"""BiSeNet V1 and V2."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from segkit.config.backbones.base import FixedStrides, OwnBackboneConfig, PerStage, Three
from segkit.config.backbones.resnet import ResNetConfig
from segkit.config.component import component


@component
class BiSeNetV1Config(FixedStrides, OwnBackboneConfig):
    """A shallow path for detail beside a deep one for context (Yu et al., 2018, arXiv:1808.00897)."""

    type: Literal["BiSeNetV1"] = "BiSeNetV1"
    context: ResNetConfig = ResNetConfig(depth=18, output_stride=32, deep_stem=True)
    """The deep path; its images and, unless it names its own, its normalisation are those given here."""
    spatial_channels: PerStage = (64, 64, 64, 128)
    """Width of each layer of the shallow path."""
    context_channels: PositiveInt = 128
    """Width of the refined context maps."""
    channels: PositiveInt = 256
    """Width of the fused map."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Field(min_length=1)] = (0, 1, 2)
    """Maps to return: 0 and 1 are the context at stride 8 and 16, 2 is the fused map."""

    STRIDES: ClassVar = (8, 16, 8)

    @model_validator(mode="after")
    def _context_fits(self) -> Self:
        if self.context.output_stride != 32:
            raise ValueError("context.output_stride must be 32")
        if self.context.out_indices != (0, 1, 2, 3):
            raise ValueError("context.out_indices must be (0, 1, 2, 3)")
        if self.context.in_channels not in (None, 3, self.image_channels):
            raise ValueError(f"context.in_channels must be in_channels, which is {self.image_channels}")
        return self

    @property
    def pools_to_one_cell(self) -> bool:
        return True


@component
class BiSeNetV2Config(FixedStrides, OwnBackboneConfig):
    """Detail and semantics on two paths that guide each other (Yu et al., 2021, arXiv:2004.02147)."""

    type: Literal["BiSeNetV2"] = "BiSeNetV2"
    detail_channels: Three = (64, 64, 128)
    """Width of each stage of the detail path."""
    semantic_channels: PerStage = (16, 32, 64, 128)
    """Width of each stage of the semantic path; the last must be the detail path's last."""
    expansion: PositiveInt = 6
    """Factor by which a block of the semantic path widens inside."""
    align_corners: bool = False
    """How the semantic path's maps are resized to the detail path's."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], Field(min_length=1)] = (0, 1, 2, 3, 4)
    """Maps to return: 0 to 3 are the stages of the semantic path, for auxiliary heads; 4 is the joined map."""

    STRIDES: ClassVar = (4, 8, 16, 32, 8)

    @model_validator(mode="after")
    def _paths_meet(self) -> Self:
        if self.semantic_channels[-1] != self.detail_channels[-1]:
            raise ValueError(
                "the last of semantic_channels must be the last of detail_channels, as they are multiplied"
            )
        if self.semantic_channels[0] % 2:
            raise ValueError("the first of semantic_channels must be even, as the stem is half as wide inside")
        return self

    @property
    def pools_to_one_cell(self) -> bool:
        return 4 in self.out_indices
