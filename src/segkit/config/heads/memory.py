"""Memories of the classes that training keeps."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from segkit.config.component import component
from segkit.config.heads.base import ContextPyramidConfig, Share, TwoStageConfig
from segkit.config.heads.classes import ClassContextConfig


@component
class ClassMemoryConfig(ContextPyramidConfig, ClassContextConfig):
    """A memory of the classes that training keeps."""

    reads_labels: ClassVar[bool] = True

    out_channels: PositiveInt = 512
    """Width after the memory is read."""
    hard: bool = False
    """Read the vector of the most probable class; false mixes all by their probability."""
    use_context: bool = True
    """Add context within the image."""
    context: Literal["aspp", "ppm"] = "aspp"
    """The pyramid that gives it: dilated convolutions or pooled grids."""
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of a step in the memory of the classes that it shows."""
    momentum_follows_lr: bool = False
    """Multiply it by the learning rate over ``base_lr``."""
    base_lr: PositiveFloat | None = None
    """The learning rate at which the momentum is as given."""

    @model_validator(mode="after")
    def _needs_base(self) -> Self:
        if self.momentum_follows_lr and self.base_lr is None:
            raise ValueError("momentum_follows_lr needs base_lr")
        return self

    @property
    def pools_to_one_cell(self) -> bool:
        return self.use_context and self.pools(self.context)

    def momentum_at(self, learning_rate: float) -> float:
        """The momentum of a step."""
        if not self.momentum_follows_lr or self.base_lr is None:
            return self.momentum
        return self.momentum / self.base_lr * learning_rate


@component
class MCIBIConfig(TwoStageConfig, ClassMemoryConfig):
    """Cells attend to a memory of the classes beyond the image (Jin et al., 2021, arXiv:2108.11819)."""

    type: Literal["MCIBI"] = "MCIBI"
    slots: PositiveInt = 1
    """Vectors that the memory has for each class."""
    update: Literal["cosine_similarity", "mean"] = "cosine_similarity"
    """How the pixels of a class weigh in a step: the more the less they are like the memory, or all the same."""
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of a step in the memory of the classes that it shows."""
    momentum_follows_lr: bool = True
    """Multiply it by the learning rate over ``base_lr``."""
    base_lr: PositiveFloat | None = 0.009
    """The learning rate at which the momentum is as given; 0.9 times the optimiser's replaces the memory at first."""
    memory_loss: bool = False
    """Classify the vectors of the memory too, from the second epoch on."""
    memory_weight: NonNegativeFloat = 1.0
    """Factor of that loss in the sum."""


@component
class StageClassifierConfig:
    """A convolution and a classifier."""

    channels: PositiveInt = 512
    """Width of the convolution."""
    dropout: Share | None = None
    """Share of its channels dropped in training; null takes the head's."""
    kernel_size: Literal[1, 3, 5, 7] = 1
    """Side of its kernel."""


@component
class MCIBIPlusPlusConfig(ClassMemoryConfig):
    """Cells attend to a memory of the classes' distributions (Jin et al., 2022, arXiv:2209.04471)."""

    type: Literal["MCIBIPlusPlus"] = "MCIBIPlusPlus"
    use_context: bool = False
    """Add context within the image."""
    context_attention: bool = True
    """Let each cell's context attend to what was read from the memory."""
    warmup_epochs: NonNegativeInt = 0
    """Before this epoch, counted from 1, training reads the memory by the labels."""
    downsample: bool = False
    """Read the memory at half the size."""
    read_by_pr: bool = False
    """Read it by the coarse logits ``pr`` even where there are logits of the context."""
    stack_before_pyramid: bool = True
    """Let what was read flow down the pyramid together with the context; false stacks it at the end."""
    pyramid_channels: PositiveInt | None = None
    """Width of a feature pyramid over the finer features, equal to that of what flows down; null has none."""
    pyramid_out_channels: PositiveInt = 512
    """Width of each finer level in the end."""
    pr: StageClassifierConfig = StageClassifierConfig()
    """Makes the coarse logits of the cells."""
    cwi: StageClassifierConfig | None = StageClassifierConfig()
    """Makes coarse logits of the context, if there is one; null makes none."""
    cls: StageClassifierConfig = StageClassifierConfig()
    """Makes the final logits."""
    pr_weight: NonNegativeFloat = 0.4
    """Factor of the losses of the output ``pr`` in the sum."""
    cwi_weight: NonNegativeFloat = 1.0
    """Factor of the losses of the output ``cwi`` in the sum."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        has_cwi = self.use_context and self.cwi is not None
        return {"main": 1.0, "pr": self.pr_weight} | ({"cwi": self.cwi_weight} if has_cwi else {})
