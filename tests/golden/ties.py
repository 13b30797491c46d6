"""Assignments of masks to queries that cost the same but for rounding: any of them is the right one."""

from itertools import product

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from segkit.models.heads.masks.truth import Match

TIE = 1e-6
"""Of the least cost: what float32 leaves open, as the reference's own logits are that far from float64."""
MOST = 16
"""Assignments of an image that are looked at."""
_FORBIDDEN = 1e9


def tied_matches(cost: Tensor) -> list[Match]:
    """The assignments of (Q, M) whose cost is the least, or as good as that; the least comes first.

    Each further one differs from one that is known in a pair that it must not have (Murty, 1968).
    """
    costs = cost.double().numpy()
    found: dict[tuple[int, ...], Match] = {}
    waiting: list[list[tuple[int, int]]] = [[]]
    limit = np.inf
    while waiting and len(found) < MOST:
        forbidden = waiting.pop(0)
        allowed = costs.copy()
        for pair in forbidden:
            allowed[pair] = _FORBIDDEN
        rows, columns = linear_sum_assignment(allowed)
        total = allowed[rows, columns].sum()
        limit = min(limit, total + TIE * abs(total))
        key = (*rows, *columns)
        if total > limit or key in found:
            continue
        found[key] = Match(torch.from_numpy(rows), torch.from_numpy(columns))
        waiting += [[*forbidden, pair] for pair in zip(rows, columns, strict=True)]
    return list(found.values())


def tied_choices(costs: list[Tensor]) -> list[list[Match]]:
    """Every way to match the images of one layer."""
    return [list(choice) for choice in product(*map(tied_matches, costs))]
