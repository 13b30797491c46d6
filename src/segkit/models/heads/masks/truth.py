"""The true masks of a batch: one for each class that an image shows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from segkit.ops.labels import classes_present
from segkit.types import IGNORE_INDEX


class Truth(NamedTuple):
    """True masks of one image.

    Attributes:
        labels: (M,) int64 class ids, ascending.
        masks: (M, H, W) bool.
        valid: (H, W) bool, which pixels count; None where all do.
        labelled: whether any pixel has a label; an image without tells nothing, not even that there is nothing.
    """

    labels: Tensor
    masks: Tensor
    valid: Tensor | None
    labelled: bool


def truths_of(target: Tensor, num_classes: int, *, count_ignored: bool) -> list[Truth]:
    """The true masks of each image; waits for the device once, as their number depends on the labels.

    Args:
        target: (N, H, W) int64 class ids or ``IGNORE_INDEX``.
        num_classes: K; with one class, label 1 is it, and 0 is nothing.
        count_ignored: whether ignored pixels count, as outside of every mask.
    """
    first = int(num_classes == 1)
    valid = target != IGNORE_INDEX
    present = classes_present(target - first, num_classes)
    facts = torch.cat([present, valid.flatten(1).any(dim=1, keepdim=True)], dim=1).cpu()
    return [
        _truth(target[i], found[:-1].nonzero()[:, 0], first, None if count_ignored else valid[i], bool(found[-1]))
        for i, found in enumerate(facts)
    ]


def _truth(target: Tensor, labels: Tensor, first: int, valid: Tensor | None, labelled: bool) -> Truth:
    labels = labels.to(target.device, non_blocking=True)
    return Truth(labels, target == (labels + first)[:, None, None], valid, labelled)


class Match(NamedTuple):
    """Which query answers for which true mask of its image.

    Attributes:
        queries: (M,) int64, ascending.
        masks: (M,) int64, the true mask of each.
    """

    queries: Tensor
    masks: Tensor


def matches_of(costs: Sequence[Tensor]) -> list[Match]:
    """The assignments of least total cost, each (Q, M) by itself; waits for the device once for all of them.

    Where there are more masks than queries, some masks stay without one. Costs that are not finite, as of a diverged
    model, are taken for high, so that the trainer can tell of the loss.
    """
    from scipy.optimize import linear_sum_assignment  # here: it takes longer to import than most commands to start

    device = costs[0].device
    parts = torch.cat([cost.detach().float().flatten() for cost in costs]).nan_to_num(nan=1e6).cpu()
    sizes = [cost.numel() for cost in costs]
    solved = [
        linear_sum_assignment(part.view(cost.shape).numpy())
        for part, cost in zip(parts.split(sizes), costs, strict=True)
    ]
    pairs = torch.cat([torch.from_numpy(np.stack(pair)) for pair in solved], dim=1).to(device)
    counts = [len(rows) for rows, _ in solved]
    return [Match(rows, columns) for rows, columns in zip(*(side.split(counts) for side in pairs), strict=True)]
