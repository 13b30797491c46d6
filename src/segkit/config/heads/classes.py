"""Context of classes."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from segkit.config.component import component
from segkit.config.heads.base import ContextPyramidConfig, HeadConfig, Share, TwoStageConfig


@component
class ClassContextConfig(HeadConfig):
    """A head whose cells attend to vectors of the classes."""

    channels: PositiveInt = 512
    """Width of the cells' and the classes' vectors."""
    attention_channels: PositiveInt = 256
    """Width of queries, keys and values."""


@component
class OCRNetConfig(ClassContextConfig):
    """Each cell attends to one vector a class, gathered by coarse logits (Yuan et al., 2020, arXiv:1909.11065)."""

    type: Literal["OCRNet"] = "OCRNet"
    dropout: Share = 0.0
    """Share of channels dropped before the classifier in training."""
    coarse_channels: PositiveInt = 512
    """Width of the convolutions that make the coarse logits, from the last feature but one."""
    coarse_convs: NonNegativeInt = 1
    """3x3 convolutions before the coarse logits."""
    coarse_dropout: Share = 0.0
    """Share of channels dropped before the coarse logits in training."""
    coarse_weight: NonNegativeFloat = 0.4
    """Factor of the losses of the coarse logits, output ``aux``, in the sum."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "aux": self.coarse_weight}


@component
class ISNetConfig(TwoStageConfig, ClassContextConfig):
    """Context of the image and of the cells of the same class (Jin et al., 2021, arXiv:2108.12382)."""

    type: Literal["ISNet"] = "ISNet"
    channels: PositiveInt = 512
    """Width of the cells' vectors."""
    concat_input: bool = True
    """Stack the context of the image with that of the classes; without it only the latter is used."""
    use_shortcut: bool = False
    """Bring the outcome to the finest feature, and classify there."""
    shortcut_channels: PositiveInt = 48
    """Width that the finest feature is reduced to."""


@component
class IDRNetConfig(TwoStageConfig, ContextPyramidConfig, ClassContextConfig):
    """Classes exchange features by relations learnt from leaving classes out (Jin et al., 2023, arXiv:2310.10755)."""

    type: Literal["IDRNet"] = "IDRNet"
    reads_labels: ClassVar[bool] = True
    attention_channels: PositiveInt = 256
    """Width of queries, keys and values among the related features."""
    context: Literal["aspp", "ppm"] | None = None
    """The pyramid that gives coarse context, dilated convolutions or pooled grids; null has none."""
    context_attention_channels: PositiveInt = 256
    """Width of queries, keys and values among the coarse context."""
    refine_before: bool = False
    """Let the coarse context attend to itself before coarse logits read it."""
    refine_after: bool = False
    """Let it do so after that, unless it has before."""
    coarse_by_pixels: bool = False
    """Make the coarse logits without the coarse context."""
    pyramid_channels: PositiveInt | None = None
    """Width of the coarse context and of a feature pyramid below it; null has no pyramid."""
    pyramid_out_channels: PositiveInt = 512
    """Width of each finer level of the pyramid in the end."""
    pyramid_first: bool = False
    """Build the pyramid before the coarse logits."""
    pyramid_last: bool = True
    """Build it after them, unless it was before."""
    relation_momentum: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of an image in the relations of the class that it leaves out."""
    class_momentum: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of a step in the mean features of the classes that it shows."""

    @property
    def pools_to_one_cell(self) -> bool:
        return self.pools(self.context)

    @property
    def refine(self) -> Literal["before", "after"] | None:
        """When the coarse context attends to itself."""
        if self.refine_before:
            return "before"
        return "after" if self.refine_after else None
