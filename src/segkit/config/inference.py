"""How a trained model looks at an image."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from segkit.config.component import component


@component
class TTAConfig:
    """Test-time augmentation: several looks at an image, averaged."""

    scales: tuple[PositiveFloat, ...] = (1.0,)
    """Factors that the image is scaled by."""
    flip: bool = False
    """Look at the mirrored image too."""
    swaps: tuple[tuple[NonNegativeInt, NonNegativeInt], ...] | None = None
    """Pairs of class ids that a mirrored look exchanges; null takes those of the training flip, or of the data set."""


@component
class InferenceConfig:
    """How a trained model looks at an image, in evaluation and in use."""

    mode: Literal["whole", "slide"] = "whole"
    """The whole image at once, or overlapping windows, averaged."""
    crop_size: tuple[PositiveInt, PositiveInt] | None = None
    """(height, width) of a window; slide needs it."""
    stride: tuple[PositiveInt, PositiveInt] | None = None
    """(vertical, horizontal) pixels between windows; slide needs it."""
    window_batch: PositiveInt | Literal["auto"] = "auto"
    """Windows that go through the model together; auto goes by memory. Too many are halved."""
    blend: Literal["uniform", "gaussian", "hann"] = "uniform"
    """What a window counts where several overlap: the same everywhere, or less towards its rim."""
    average: Literal["logits", "probs"] = "logits"
    """What windows and looks are averaged as; probs takes the softmax before any resize."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability from which a single class is present."""
    tta: TTAConfig = TTAConfig()
    """Several looks, averaged; used by segkit-test and segkit-predict, not while training."""
