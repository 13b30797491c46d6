"""Encodings of places."""

import math

import torch
from torch import Tensor


def sine_positions(size: tuple[int, int], channels: int, device: torch.device) -> Tensor:
    """Sines of each cell's row and column at falling frequencies (Carion et al., 2020, arXiv:2005.12872).

    Args:
        size: (height, width) of the map.
        channels: D, a multiple of 4: the first half tells the row, the second the column.
        device: where to compute.

    Returns:
        (height * width, D) float32, row by row.
    """
    height, width = size
    rows, columns = (_axis(length, channels // 2, device) for length in size)
    rows, columns = rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)


def _axis(length: int, channels: int, device: torch.device) -> Tensor:
    """(length, channels): sine and cosine in turn, the axis being one full turn of the first pair."""
    index = torch.arange(channels, device=device)
    place = torch.arange(1, length + 1, dtype=torch.float32, device=device) / (length + 1e-6) * 2 * math.pi
    angles = place[:, None] / 10000 ** (2 * (index // 2) / channels)
    return torch.where(index % 2 == 0, angles.sin(), angles.cos())
