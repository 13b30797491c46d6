"""Losses. Each is a sum over valid pixels divided by their number over all processes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from segkit.config.component import Choice, component


@component
class LossConfig:
    """What is summed into the training loss."""

    group: ClassVar[str] = "loss"

    weight: NonNegativeFloat = 1.0
    """Factor of this loss in the sum."""


@component
class OHEMConfig:
    """Online hard example mining: the loss counts only the hardest pixels (Shrivastava et al., 2016)."""

    threshold: Annotated[float, Field(gt=0, le=1)] | None = 0.7
    """Pixels whose true class has a lower probability are kept; null keeps the ``min_kept`` highest losses."""
    min_kept: PositiveInt = 100_000
    """Pixels kept at least, for each image of the batch."""


@component
class CrossEntropyLossConfig(LossConfig):
    """Cross entropy over the classes; with one class, or ``use_sigmoid``, binary cross entropy of each."""

    type: Literal["CrossEntropyLoss"] = "CrossEntropyLoss"
    use_sigmoid: bool = False
    """Treat each class as a yes/no question of its own."""
    class_weights: tuple[NonNegativeFloat, ...] | None = None
    """A weight for each class; the mean is then over the weights of the valid pixels."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target spread evenly over all classes."""
    ohem: OHEMConfig | None = None
    """Count only hard pixels."""


Loss = Annotated[LossConfig, Choice("loss")]
Losses = Annotated[LossConfig | dict[str, LossConfig], Choice("loss", named=True)]
"""One loss, or several by name, which are summed."""
