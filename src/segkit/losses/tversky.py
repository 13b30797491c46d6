"""Tversky loss (Salehi et al., 2017, arXiv:1706.05721)."""

from torch import Tensor

from segkit.config.losses import TverskyLossConfig
from segkit.losses.terms import Loss, Terms, one_hot
from segkit.registry import LOSSES


def tversky_terms(
    probs: Tensor,
    truth: Tensor,
    keep: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
    class_weights: Tensor | None = None,
) -> Terms:
    """1 - Tversky's index of each class, averaged over the classes, before the mean over samples.

    A sample without a valid pixel does not count.

    Args:
        probs: (N, K, ...) in [0, 1].
        truth: (N, K, ...) float, 1 for yes.
        keep: (N, 1, ...) bool: pixels that count.
        alpha: what a wrong yes counts.
        beta: what a missed yes counts; alpha = beta = 0.5 is Dice.
        smooth: added to both sides of the ratio, in pixels.
        class_weights: (K,), factors of the classes; their mean is still over K.
    """
    probs, truth = (probs * keep).flatten(2), (truth * keep).flatten(2)
    right = (probs * truth).sum(2)  # (N, K)
    false, missed = probs.sum(2) - right, truth.sum(2) - right
    losses = 1 - (right + smooth) / (right + alpha * false + beta * missed + smooth)
    if class_weights is not None:
        losses = losses * class_weights
    counts = keep.flatten(1).any(1).float()  # (N,)
    return Terms(losses.mean(1) * counts, counts.sum())


@LOSSES.register(TverskyLossConfig)
class TverskyLoss(Loss):
    """Tversky loss by its config; see :func:`tversky_terms`."""

    def __init__(self, config: TverskyLossConfig, num_classes: int) -> None:
        super().__init__(config, num_classes, config.class_weights)
        self.config = config

    def terms(self, logits: Tensor, target: Tensor) -> Terms:
        truth, keep = one_hot(target, self.num_classes)
        binary = self.config.use_sigmoid or self.num_classes == 1
        probs = logits.sigmoid() if binary else logits.softmax(dim=1)
        return tversky_terms(
            probs,
            truth,
            keep,
            alpha=self.config.alpha,
            beta=self.config.beta,
            smooth=self.config.smooth,
            class_weights=self.class_weights,
        )
