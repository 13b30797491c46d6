"""Distances between two dense maps, for distillation and for losses of your own; each before its mean."""

import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.losses.terms import Terms


def l1_terms(x: Tensor, y: Tensor) -> Terms:
    """|x - y| of each element."""
    return _all((x - y).abs())


def squared_terms(x: Tensor, y: Tensor) -> Terms:
    """(x - y)^2 of each element."""
    return _all((x - y).square())


def cosine_terms(x: Tensor, y: Tensor) -> Terms:
    """1 - the cosine between the channels of each cell: (N, C, ...) twice -> values (N, ...)."""
    return _all(1 - F.cosine_similarity(x, y, dim=1))


def divergence_terms(logits: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Terms:
    """Kullback-Leibler divergence from the teacher's softmax, times temperature^2 (arXiv:1503.02531), each element."""
    student = F.log_softmax(logits / temperature, dim=1)
    return _all(F.kl_div(student, F.softmax(teacher / temperature, dim=1), reduction="none") * temperature**2)


def _all(values: Tensor) -> Terms:
    return Terms(values, torch.tensor(float(values.numel()), device=values.device))
