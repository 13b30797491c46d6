"""How far predicted masks are from true ones, over the same pixels or points; weights say how much each counts."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Cost = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Logits to what each costs where the truth is 1, and where it is 0."""


def cross_entropy(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Minus the log-probability of 1, and of 0."""
    return F.softplus(-logits), F.softplus(logits)


def focal(logits: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> tuple[Tensor, Tensor]:
    """Those, faded where the prediction is right (Lin et al., 2017, arXiv:1708.02002)."""
    probs = logits.sigmoid()
    one, zero = cross_entropy(logits)
    return alpha * (1 - probs) ** gamma * one, (1 - alpha) * probs**gamma * zero


def mask_losses(logits: Tensor, truth: Tensor, weights: Tensor | None, cost: Cost) -> tuple[Tensor, Tensor]:
    """Mean cost of each of M masks, and its Dice loss.

    Args:
        logits: (M, P).
        truth: (M, P), 0 to 1.
        weights: (M, P), 0 to 1; None counts all in full.
        cost: of each element.

    Returns:
        (M,) and (M,).
    """
    one, zero = cost(logits)
    values, probs = truth * one + (1 - truth) * zero, logits.sigmoid()
    if weights is None:
        mean = values.mean(1)
    else:
        mean = (values * weights).sum(1) / weights.sum(1).clamp(min=1)
        probs, truth = probs * weights, truth * weights
    dice = 1 - (2 * (probs * truth).sum(1) + 1) / (probs.sum(1) + truth.sum(1) + 1)
    return mean, dice


def pair_costs(logits: Tensor, truth: Tensor, weights: Tensor | None, cost: Cost) -> tuple[Tensor, Tensor]:
    """The same between each of Q predictions and each of M true masks of an image, without broadcasting to Q x M x P.

    Args:
        logits: (Q, P).
        truth: (M, P), 0 to 1.
        weights: (P,), 0 to 1; None counts all in full.
        cost: of each element.

    Returns:
        (Q, M) and (Q, M).
    """
    one, zero = cost(logits)
    probs = logits.sigmoid()
    yes, no, total = truth, 1 - truth, truth.new_tensor(truth.shape[1])
    if weights is not None:
        yes, no, probs, total = yes * weights, no * weights, probs * weights, weights.sum().clamp(min=1)
    mean = (one @ yes.T + zero @ no.T) / total
    dice = 1 - (2 * probs @ truth.T + 1) / (probs.sum(1)[:, None] + yes.sum(1) + 1)
    return mean, dice
