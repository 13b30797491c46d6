"""Deformable attention: each query looks at a few points of several maps (Zhu et al., 2021, arXiv:2010.04159)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def deformable_attention(maps: Sequence[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of bilinear values; beyond a map lie zeros.

    One ``grid_sample`` a level, no compiled extension.

    Args:
        maps: values of each of L levels, (N, heads, C, H_l, W_l).
        locations: (N, Q, heads, L, P, 2), (x, y) from 0 to 1 across the map, as in :mod:`segkit.ops.points`.
        weights: (N, Q, heads, L, P).

    Returns:
        (N, Q, heads * C).
    """
    count, _, heads = weights.shape[:3]
    grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # (N heads, Q, L, P, 2)
    shares = weights.transpose(1, 2).flatten(0, 1)  # (N heads, Q, L, P)
    sums = [
        torch.einsum(
            "ncqp,nqp->ncq",
            F.grid_sample(values.flatten(0, 1), grids[:, :, level], align_corners=False),
            shares[:, :, level],
        )
        for level, values in enumerate(maps)
    ]
    total = torch.stack(sums).sum(0)  # (N heads, C, Q)
    return total.unflatten(0, (count, heads)).flatten(1, 2).transpose(1, 2)
