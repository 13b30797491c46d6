"""Cross entropy: softmax or sigmoid, weighted, smoothed, or over hard pixels only."""

import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.config.losses import CrossEntropyLossConfig, OHEMConfig
from segkit.losses.terms import Loss, Terms, label_weights, one_hot, per_channel
from segkit.registry import LOSSES
from segkit.types import IGNORE_INDEX


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    class_weights: Tensor | None = None,
    weighted_mean: bool = True,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Mean cross entropy of the valid pixels.

    Args:
        logits: (N, K, ...), K > 1.
        target: (N, ...) int64 in [0, K) or ``ignore_index``.
        class_weights: (K,); a pixel's whole term, smoothing included, has the weight of its class.
        weighted_mean: divide by the valid pixels' weights, not by their number.
        label_smoothing: share of the target spread evenly over all classes.
        ignore_index: label that does not count.
    """
    return cross_entropy_terms(
        logits.float(),
        target,
        target != ignore_index,
        class_weights=class_weights,
        weighted_mean=weighted_mean,
        label_smoothing=label_smoothing,
    ).mean()


def cross_entropy_terms(
    logits: Tensor,
    target: Tensor,
    keep: Tensor,
    *,
    class_weights: Tensor | None = None,
    weighted_mean: bool = True,
    label_smoothing: float = 0.0,
) -> Terms:
    """:func:`cross_entropy` before the mean, over the pixels that ``keep`` (N, ...) names; values are (N, ...)."""
    labels = target.masked_fill(~keep, _SKIP)
    values = F.cross_entropy(logits, labels, ignore_index=_SKIP, reduction="none", label_smoothing=label_smoothing)
    if class_weights is None:
        return Terms(values, keep.sum().float())
    weights = label_weights(target, keep, class_weights)
    return Terms(values * weights, weights.sum() if weighted_mean else keep.sum().float())


def binary_cross_entropy_terms(
    logits: Tensor,
    truth: Tensor,
    keep: Tensor,
    *,
    class_weights: Tensor | None = None,
    weighted_mean: bool = True,
) -> Terms:
    """Binary cross entropy of each class, before the mean.

    Args:
        logits: (N, K, ...).
        truth: (N, K, ...) float, 1 for yes.
        keep: (N, 1, ...) bool: pixels that count.
        class_weights: (K,).
        weighted_mean: divide by the weights of the yeses, not by the number of pixels times K.
    """
    values = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * keep
    return weigh_classes(values, truth, keep, class_weights, weighted_mean)


def weigh_classes(
    values: Tensor, truth: Tensor, keep: Tensor, class_weights: Tensor | None, weighted_mean: bool
) -> Terms:
    """Terms of yes/no questions: values and truth (N, K, ...), keep (N, 1, ...), class_weights (K,)."""
    count = keep.sum().float() * values.shape[1]
    if class_weights is None:
        return Terms(values, count)
    weights = per_channel(class_weights, values)
    return Terms(values * weights, (truth * keep * weights).sum() if weighted_mean else count)


@torch.no_grad()
def hard_pixels(logits: Tensor, target: Tensor, config: OHEMConfig, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """The pixels that online hard example mining keeps: (N, K, ...) and (N, ...) to a bool (N, ...).

    Those whose true class has a probability below ``config.threshold``, but at least ``config.min_kept`` an image
    over the batch (one less where they decide: the bound itself is left out); without a threshold, just the
    ``config.min_kept`` an image of lowest probability.
    """
    valid = target != ignore_index
    doubt = -_true_log_prob(logits.float(), target.masked_fill(~valid, 0))
    doubt = doubt.masked_fill(~valid, -torch.inf).flatten()  # high where the true class is improbable
    kept = config.min_kept * len(target)
    if config.threshold is None:
        top = doubt.topk(min(kept, len(doubt))).indices
        keep = torch.zeros_like(doubt, dtype=torch.bool).index_fill(0, top, True)
    else:
        probs = (-doubt).exp()  # infinite where not valid
        lowest = probs.topk(min(kept + 1, len(probs)), largest=False).values
        rank = (valid.sum() - 1).clamp(0, len(lowest) - 1)
        keep = probs < lowest.gather(0, rank[None]).clamp(min=config.threshold)
    return keep.view_as(valid) & valid


def _true_log_prob(logits: Tensor, labels: Tensor) -> Tensor:
    """Log-probability of each pixel's label: (N, K, ...) and (N, ...) -> (N, ...)."""
    if logits.shape[1] == 1:
        return F.logsigmoid(torch.where(labels == 1, logits[:, 0], -logits[:, 0]))
    return -F.cross_entropy(logits, labels, reduction="none")


_SKIP = -100
"""Marks pixels left out inside this file: outside of any label's range."""


@LOSSES.register(CrossEntropyLossConfig)
class CrossEntropyLoss(Loss):
    """Cross entropy by its config; see :func:`cross_entropy` and :func:`binary_cross_entropy_terms`."""

    def __init__(self, config: CrossEntropyLossConfig, num_classes: int) -> None:
        super().__init__(config, num_classes, config.class_weights)
        self.config = config
        self.pixelwise = config.ohem is None  # hard pixels are chosen among all

    def terms(self, logits: Tensor, target: Tensor) -> Terms:
        config = self.config
        keep = target != IGNORE_INDEX if config.ohem is None else hard_pixels(logits, target, config.ohem)
        weights, weighted_mean = self.class_weights, config.weighted_mean
        if config.use_sigmoid or self.num_classes == 1:
            truth, _ = one_hot(target, self.num_classes)
            return binary_cross_entropy_terms(
                logits, truth, keep.unsqueeze(1), class_weights=weights, weighted_mean=weighted_mean
            )
        return cross_entropy_terms(
            logits,
            target,
            keep,
            class_weights=weights,
            weighted_mean=weighted_mean,
            label_smoothing=config.label_smoothing,
        )
