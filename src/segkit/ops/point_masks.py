"""Masks around each position, as PSANet predicts them (Zhao et al., 2018, PSANet)."""

import torch
from torch import Tensor


def place_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Lays the mask that each position holds for its surroundings onto the map.

    Cell (i, j) of a mask at (r, c) is about (r + i - (h - 1) // 2, c + j - (w - 1) // 2). What falls off the map is
    dropped, and what no cell is about is 0. One gather, in place of a loop over positions and cells.

    Args:
        masks: (N, h * w, H, W): at each position, a mask of h x w cells around it.
        size: (h, w).

    Returns:
        (N, H * W, H * W): [n, p, q] is what the mask at position q says about position p.
    """
    height, width = masks.shape[-2:]
    rows, columns = _offsets(height, size[0], masks), _offsets(width, size[1], masks)  # (H, H), (W, W): [p, q]
    shape = (height, width, height, width)
    row, column = rows[:, None, :, None].expand(shape), columns[None, :, None, :].expand(shape)
    inside = (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])
    cell = (row * size[1] + column).masked_fill(~inside, 0).reshape(height * width, -1)
    placed = masks.flatten(2).gather(1, cell.expand(len(masks), -1, -1))
    return placed.masked_fill(~inside.reshape(cell.shape), 0)


def _offsets(length: int, side: int, like: Tensor) -> Tensor:
    """(length, length): which cell of a mask at q is about p; may lie outside of [0, side)."""
    position = torch.arange(length, device=like.device)
    return position[:, None] - position + (side - 1) // 2
