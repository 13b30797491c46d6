"""The whole image at once."""

from torch import Tensor

from segkit.config.inference import InferenceConfig
from segkit.inference.look import Look, Model, scores_of


def whole_look(model: Model, images: Tensor, config: InferenceConfig) -> Look:
    """Scores of (N, C, H, W) images at the model's own resolution."""
    scores = scores_of(model(images), config.average)
    return Look(scores.shape[2], iter([scores]))
