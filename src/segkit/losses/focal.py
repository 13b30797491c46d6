"""Focal loss (Lin et al., 2017, arXiv:1708.02002)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.config.losses import FocalLossConfig
from segkit.losses.cross_entropy import cross_entropy_terms, weigh_classes
from segkit.losses.terms import Loss, Terms, label_weights, one_hot
from segkit.registry import LOSSES
from segkit.types import IGNORE_INDEX

_TINY = 1e-12
"""Least base of a power: for an exponent below 1 the slope at 0 is infinite."""


class FocalOptions(NamedTuple):
    """How a focal loss weighs.

    Attributes:
        gamma: exponent of the probability given to what is wrong.
        alpha: weight of yes, 1 - alpha being that of no; a factor of all with the softmax.
        class_weights: (K,).
        weighted_mean: divide by the weights of what is true, not by the number of terms.
    """

    gamma: float = 2.0
    alpha: float = 0.25
    class_weights: Tensor | None = None
    weighted_mean: bool = True


def sigmoid_focal_terms(logits: Tensor, truth: Tensor, keep: Tensor, options: FocalOptions) -> Terms:
    """Focal loss of each class as a yes/no question, before the mean over pixels and classes.

    Args:
        logits: (N, K, ...).
        truth: (N, K, ...) float, 1 for yes.
        keep: (N, 1, ...) bool: pixels that count.
        options: how it weighs.
    """
    probs = logits.sigmoid()
    wrong = torch.lerp(probs, 1 - probs, truth).clamp(min=_TINY)
    balance = options.alpha * truth + (1 - options.alpha) * (1 - truth)
    plain = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    values = plain * balance * wrong**options.gamma * keep
    return weigh_classes(values, truth, keep, options.class_weights, options.weighted_mean)


def softmax_focal_terms(logits: Tensor, target: Tensor, keep: Tensor, options: FocalOptions) -> Terms:
    """Focal loss over the classes, before the mean over pixels.

    Args:
        logits: (N, K, ...), K > 1.
        target: (N, ...) int64.
        keep: (N, ...) bool: pixels that count.
        options: how it weighs.
    """
    plain = cross_entropy_terms(logits, target, keep).values
    wrong = (-torch.expm1(-plain)).clamp(min=_TINY)
    values = options.alpha * wrong**options.gamma * plain
    if options.class_weights is None:
        return Terms(values, keep.sum().float())
    weights = label_weights(target, keep, options.class_weights)
    return Terms(values * weights, weights.sum() if options.weighted_mean else keep.sum().float())


@LOSSES.register(FocalLossConfig)
class FocalLoss(Loss):
    """Focal loss by its config; see :func:`sigmoid_focal_terms` and :func:`softmax_focal_terms`."""

    pixelwise = True

    def __init__(self, config: FocalLossConfig, num_classes: int) -> None:
        super().__init__(config, num_classes, config.class_weights)
        self.config = config

    def terms(self, logits: Tensor, target: Tensor) -> Terms:
        config = self.config
        options = FocalOptions(config.gamma, config.alpha, self.class_weights, config.weighted_mean)
        if config.use_sigmoid or self.num_classes == 1:
            return sigmoid_focal_terms(logits, *one_hot(target, self.num_classes), options)
        return softmax_focal_terms(logits, target, target != IGNORE_INDEX, options)
