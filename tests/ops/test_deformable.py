"""Deformable attention against a loop over its definition, and its gradient."""

import itertools
import math

import torch
from torch import Tensor

from segkit.ops.deformable import deformable_attention


def bilinear(values: Tensor, x: float, y: float) -> Tensor:
    """Value of (C, H, W) at (x, y) from 0 to 1; zeros beyond."""
    _, height, width = values.shape
    column, row = x * width - 0.5, y * height - 0.5
    total = torch.zeros(len(values), dtype=values.dtype)
    for r, c in itertools.product((math.floor(row), math.floor(row) + 1), (math.floor(column), math.floor(column) + 1)):
        if 0 <= r < height and 0 <= c < width:
            total += (1 - abs(row - r)) * (1 - abs(column - c)) * values[:, r, c]
    return total


def inputs() -> tuple[list[Tensor], Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, 2, 3, *size, dtype=torch.float64, generator=generator) for size in ((4, 5), (2, 3))]
    locations = torch.rand(2, 4, 2, 2, 3, 2, dtype=torch.float64, generator=generator) * 1.4 - 0.2
    return maps, locations, torch.rand(2, 4, 2, 2, 3, dtype=torch.float64, generator=generator)


def test_a_loop_gives_the_same() -> None:
    maps, locations, weights = inputs()
    wanted = torch.zeros(2, 4, 2, 3, dtype=torch.float64)
    for n, q, h, level, p in itertools.product(*map(range, weights.shape)):
        x, y = locations[n, q, h, level, p].tolist()
        wanted[n, q, h] += weights[n, q, h, level, p] * bilinear(maps[level][n, h], x, y)
    torch.testing.assert_close(deformable_attention(maps, locations, weights), wanted.flatten(2))


def test_gradients() -> None:
    maps, locations, weights = inputs()
    leaves = [x.requires_grad_() for x in (*maps, locations, weights)]
    assert torch.autograd.gradcheck(lambda *x: deformable_attention(x[:2], x[2], x[3]), leaves)
