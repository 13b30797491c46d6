"""Positions of transformers, resized for images of another size than they were made for."""

from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.ops.sizes import exporting

Size = tuple[int, int]
"""Rows and columns of cells."""

# Below, what needs no resizing is resized in an export, too, to the same numbers: else it would be for that size alone.


def resize_positions(positions: Tensor, before: Size, after: Size, *, prefix: int, mode: str) -> Tensor:
    """Position embeddings (1, prefix + rows * columns, D) for another grid; those of the prefix tokens stay.

    Args:
        positions: row by row, behind ``prefix`` tokens that have no place.
        before: the grid that they are for.
        after: the grid that is wanted.
        prefix: number of tokens in front.
        mode: ``bilinear`` or ``bicubic``.
    """
    if before == after and not exporting():
        return positions
    grid = positions[:, prefix:].unflatten(1, before).movedim(-1, 1)  # (1, D, rows, columns)
    resized = F.interpolate(grid, after, mode=mode, align_corners=False)
    return torch.cat([positions[:, :prefix], resized.flatten(2).transpose(1, 2)], dim=1)


def resize_bias_table(table: Tensor, before: Size, after: Size) -> Tensor:
    """A table of relative position biases (offsets + others, heads) for another window; the others stay.

    Args:
        table: first a row for each offset of a window, rows of the window first; then those that have no place.
        before: the window that it is for.
        after: the window that is wanted.
    """
    if before == after and not exporting():
        return table
    spans = _offsets(before)
    count = spans[0] * spans[1]
    grid = table[:count].t().unflatten(1, spans).unsqueeze(0)  # (1, heads, offsets, offsets)
    resized = F.interpolate(grid, _offsets(after), mode="bicubic", align_corners=False)
    return torch.cat([resized[0].flatten(1).t(), table[count:]])


def square(count: int) -> Size | None:
    """The square grid of ``count`` cells, or None if there is none."""
    side = isqrt(count) if count > 0 else 0
    return (side, side) if side and side * side == count else None


def square_window(offsets: int) -> Size | None:
    """The square window that has ``offsets`` offsets, or None if there is none."""
    spans = square(offsets)
    return None if spans is None or spans[0] % 2 == 0 else ((spans[0] + 1) // 2,) * 2


def _offsets(window: Size) -> Size:
    return 2 * window[0] - 1, 2 * window[1] - 1
