"""Pooling of feature maps over grids."""

import torch
from torch import Tensor


def grid_means(x: Tensor, side: int) -> Tensor:
    """Means over a ``side`` x ``side`` grid of cells: (N, C, H, W) -> (N, C, side, side).

    The same cells as ``AdaptiveAvgPool2d(side)``: where H or W does not divide by ``side``, neighbours overlap. Written
    as one product with a (side * side, H * W) matrix that is built from the size at hand, so that ONNX exports it
    with dynamic size, where adaptive pooling exports wrong numbers; and its gradient is faster than adaptive pooling's.
    """
    height, width = x.shape[-2:]
    rows, columns = _membership(height, side, x), _membership(width, side, x)
    cells = (rows[:, None, :, None] * columns[None, :, None, :]).reshape(side * side, height * width)
    weights = cells / cells.sum(dim=1, keepdim=True)  # before the product: a sum over many pixels overflows half
    return (x.flatten(2) @ weights.T).unflatten(2, (side, side))


def _membership(length: int, side: int, like: Tensor) -> Tensor:
    """(side, length) with 1 where a position lies in an interval: [floor(i L / s), ceil((i + 1) L / s))."""
    interval = torch.arange(side, device=like.device)[:, None]
    position = torch.arange(length, device=like.device)
    start = interval * length // side
    stop = ((interval + 1) * length + side - 1) // side
    return ((position >= start) & (position < stop)).to(like.dtype)


def window_means(x: Tensor, size: int, stride: tuple[int, int]) -> Tensor:
    """Means over sliding windows: (N, C, H, W) -> (N, C, h, w).

    What ``avg_pool2d(x, size, stride)`` gives, but a window that is higher or wider than the map shrinks to it, so
    that there is always one. Two products with matrices built from the size at hand, for the same reasons as above.

    Args:
        size: side of the window.
        stride: (vertical, horizontal) step.
    """
    height, width = x.shape[-2:]
    return _window_weights(height, size, stride[0], x) @ x @ _window_weights(width, size, stride[1], x).T


def _window_weights(length: int, size: int, stride: int, like: Tensor) -> Tensor:
    """(windows, length) with 1 / size where a position lies in a window."""
    side = torch.sym_min(size, length)
    start = torch.arange((length - side) // stride + 1, device=like.device)[:, None] * stride
    position = torch.arange(length, device=like.device)
    inside = ((position >= start) & (position < start + side)).to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)
