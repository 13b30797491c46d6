"""Losses. Each is a sum over valid pixels divided by their number over all processes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from segkit.config.component import Choice, component

ClassWeights = tuple[NonNegativeFloat, ...] | None


@component
class LossConfig:
    """What is summed into the training loss."""

    group: ClassVar[str] = "loss"

    weight: NonNegativeFloat = 1.0
    """Factor of this loss in the sum."""
    flooding: NonNegativeFloat | None = None
    """Below this value the loss, with its factor, is climbed instead (Ishida et al., 2020); null never does."""


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
    class_weights: ClassWeights = None
    """A weight for each class."""
    weighted_mean: bool = True
    """With ``class_weights``: divide by the valid pixels' weights; false divides by their number."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target spread evenly over all classes."""
    ohem: OHEMConfig | None = None
    """Count only hard pixels."""


@component
class FocalLossConfig(LossConfig):
    """Cross entropy that fades where the prediction is right (Lin et al., 2017, arXiv:1708.02002)."""

    type: Literal["FocalLoss"] = "FocalLoss"
    use_sigmoid: bool = True
    """Treat each class as a yes/no question of its own; with one class always."""
    gamma: NonNegativeFloat = 2.0
    """How fast it fades; 0 never."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Weight of yes, 1 - alpha being that of no; without ``use_sigmoid`` a factor of all."""
    class_weights: ClassWeights = None
    """A weight for each class."""
    weighted_mean: bool = True
    """With ``class_weights``: divide by the valid pixels' weights; false divides by their number."""


@component
class DiceLossConfig(LossConfig):
    """1 - the overlap of prediction and truth, over all classes of an image together (arXiv:1606.04797)."""

    type: Literal["DiceLoss"] = "DiceLoss"
    use_sigmoid: bool = True
    """Probabilities by sigmoid; false takes the softmax, unless there is one class."""
    naive: bool = False
    """Compare with the plain sums in place of the sums of squares."""
    eps: PositiveFloat = 1e-3
    """Keeps the ratio finite where nothing is predicted and nothing is true."""


@component
class TverskyLossConfig(LossConfig):
    """1 - the overlap of each class, where missed and wrong pixels count differently (arXiv:1706.05721)."""

    type: Literal["TverskyLoss"] = "TverskyLoss"
    use_sigmoid: bool = False
    """Treat each class as a yes/no question of its own; with one class always."""
    alpha: NonNegativeFloat = 0.3
    """What a pixel counts that is wrongly taken for the class."""
    beta: NonNegativeFloat = 0.7
    """What a pixel of the class counts that is missed; alpha = beta = 0.5 is Dice."""
    smooth: PositiveFloat = 1.0
    """Pixels added to both sides of the ratio, which keep it finite where nothing is predicted and nothing is true."""
    class_weights: ClassWeights = None
    """A factor for each class; the mean is over their number."""


@component
class LovaszLossConfig(LossConfig):
    """Lovász extension of the Jaccard loss (Berman et al., 2018, arXiv:1705.08790)."""

    type: Literal["LovaszLoss"] = "LovaszLoss"
    use_sigmoid: bool = False
    """Hinge on yes/no probabilities, all classes together; false compares softmax probabilities class by class."""
    classes: Literal["present", "all"] | tuple[NonNegativeInt, ...] = "present"
    """Classes that count: those in the batch (or image), all, or these ids."""
    per_image: bool = False
    """Rank the pixels of each image by themselves."""
    class_weights: ClassWeights = None
    """A weight for each class."""


Loss = Annotated[LossConfig, Choice("loss")]
Losses = Annotated[LossConfig | dict[str, LossConfig], Choice("loss", named=True)]
"""One loss, or several by name, which are summed."""
