"""Lovász-Softmax and Lovász hinge (Berman et al., 2018, arXiv:1705.08790)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segkit.config.losses import LovaszLossConfig
from segkit.losses.terms import Loss, Terms, one_hot
from segkit.registry import LOSSES


def lovasz_softmax_terms(
    probs: Tensor,
    truth: Tensor,
    keep: Tensor,
    *,
    classes: str | Sequence[int] = "present",
    per_image: bool = False,
    class_weights: Tensor | None = None,
) -> Terms:
    """Lovász-Jaccard loss of each class, averaged over the classes that count, before the mean over images.

    Args:
        probs: (N, K, ...) in [0, 1].
        truth: (N, K, ...) float, 1 for yes.
        keep: (N, 1, ...) bool: pixels that count.
        classes: "present", "all" or class ids: which classes count.
        per_image: rank each image's pixels by themselves; else the batch is one image.
        class_weights: (K,), of the mean over classes.
    """
    errors = _rank_together((truth - probs).abs() * keep, per_image)  # (G, K, P); 0 ranks last and adds nothing
    truth = _rank_together(truth * keep, per_image)
    weights = _counted(truth, classes)  # (G, K)
    if class_weights is not None:
        weights = weights * class_weights
    losses = (_jaccard_loss(errors, truth) * weights).sum(1)
    total = weights.sum(1)
    return Terms(losses / torch.where(total > 0, total, 1), (total > 0).sum().float())


def lovasz_hinge_terms(
    probs: Tensor,
    truth: Tensor,
    keep: Tensor,
    *,
    classes: str | Sequence[int] = "present",
    per_image: bool = False,
    class_weights: Tensor | None = None,
) -> Terms:
    """Lovász hinge on yes/no probabilities, all classes that count ranked together; arguments as above."""
    errors = _rank_together((1 - probs * (2 * truth - 1)) * keep, per_image)  # (G, K, P), in [0, 2]
    truth = _rank_together(truth * keep, per_image)
    counted = _counted(truth, classes if probs.shape[1] > 1 else "all")  # (G, K)
    weights = counted if class_weights is None else counted * class_weights
    losses = _jaccard_loss((errors * weights[..., None]).flatten(1), (truth * counted[..., None]).flatten(1))
    images = keep.flatten(1).any(1) if per_image else keep.any()[None]
    return Terms(losses, images.sum().float())


def _rank_together(values: Tensor, per_image: bool) -> Tensor:
    """(N, K, ...) -> (G, K, P): groups of pixels that are ranked together, each image or the whole batch."""
    values = values.flatten(2) if values.ndim > 2 else values[..., None]
    return values if per_image else values.transpose(0, 1).flatten(1)[None]


def _counted(truth: Tensor, classes: str | Sequence[int]) -> Tensor:
    """1 for each class that counts: (G, K, P) -> (G, K)."""
    if classes == "present":
        return truth.any(dim=2).float()
    counted = torch.ones_like(truth[..., 0])
    if classes == "all":
        return counted
    chosen = torch.tensor(list(classes), device=truth.device)
    return torch.zeros_like(counted).index_fill(1, chosen, 1.0)


def _jaccard_loss(errors: Tensor, truth: Tensor) -> Tensor:
    """The Lovász extension of the Jaccard loss at ``errors``: (..., P) and (..., P) -> (...)."""
    errors, order = errors.sort(dim=-1, descending=True)
    truth = truth.gather(-1, order)
    total = truth.sum(-1, keepdim=True)
    jaccard = 1 - (total - truth.cumsum(-1)) / (total + (1 - truth).cumsum(-1))
    slope = torch.cat([jaccard[..., :1], jaccard.diff(dim=-1)], dim=-1)
    return (errors * slope).sum(-1)


@LOSSES.register(LovaszLossConfig)
class LovaszLoss(Loss):
    """Lovász loss by its config; see :func:`lovasz_softmax_terms` and :func:`lovasz_hinge_terms`.

    It is no sum over pixels: with several processes it is the mean of their losses.
    """

    def __init__(self, config: LovaszLossConfig, num_classes: int) -> None:
        super().__init__(config, num_classes, config.class_weights)
        self.config = config

    def terms(self, logits: Tensor, target: Tensor) -> Terms:
        config = self.config
        truth, keep = one_hot(target, self.num_classes)
        binary = config.use_sigmoid or self.num_classes == 1
        terms = lovasz_hinge_terms if binary else lovasz_softmax_terms
        return terms(
            logits.sigmoid() if binary else logits.softmax(dim=1),
            truth,
            keep,
            classes=config.classes,
            per_image=config.per_image,
            class_weights=self.class_weights,
        )
