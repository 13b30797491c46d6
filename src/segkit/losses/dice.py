"""Dice loss (Milletari et al., 2016, arXiv:1606.04797)."""

from torch import Tensor

from segkit.config.losses import DiceLossConfig
from segkit.losses.terms import Loss, Terms, one_hot
from segkit.registry import LOSSES


def dice_terms(probs: Tensor, truth: Tensor, keep: Tensor, *, naive: bool = False, eps: float = 1e-3) -> Terms:
    """1 - Dice of each sample, over its classes and pixels together, before the mean over samples.

    A sample without a valid pixel does not count.

    Args:
        probs: (N, K, ...) in [0, 1].
        truth: (N, K, ...) float, 1 for yes.
        keep: (N, 1, ...) bool: pixels that count.
        naive: compare with the plain sums in place of the sums of squares.
        eps: keeps the ratio finite where nothing is predicted and nothing is true.
    """
    probs, truth = (probs * keep).flatten(1), (truth * keep).flatten(1)
    overlap = 2 * (probs * truth).sum(1)
    if naive:
        dice = (overlap + eps) / (probs.sum(1) + truth.sum(1) + eps)
    else:
        dice = overlap / (probs.square().sum(1) + truth.square().sum(1) + 2 * eps)
    counts = keep.flatten(1).any(1).float()  # (N,)
    return Terms((1 - dice) * counts, counts.sum())


@LOSSES.register(DiceLossConfig)
class DiceLoss(Loss):
    """Dice loss by its config; see :func:`dice_terms`."""

    def __init__(self, config: DiceLossConfig, num_classes: int) -> None:
        super().__init__(config, num_classes)
        self.config = config

    def terms(self, logits: Tensor, target: Tensor) -> Terms:
        truth, keep = one_hot(target, self.num_classes)
        binary = self.config.use_sigmoid or self.num_classes == 1
        probs = logits.sigmoid() if binary else logits.softmax(dim=1)
        return dice_terms(probs, truth, keep, naive=self.config.naive, eps=self.config.eps)
