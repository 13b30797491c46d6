"""Sizes that exporters can follow, and padding to whole patches and windows."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor


def exporting() -> bool:
    """Whether a graph for any size is being made, which keeps one side of each branch on a size.

    ``torch.compile`` makes a graph for either side, and needs no care.
    """
    if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        return True
    return torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()


def int_min(a: int, b: int) -> int:
    """The smaller of two sizes; Python's own would make an export with dynamic sizes choose one for good."""
    return cast(int, torch.sym_min(a, b))


def int_max(a: int, b: int) -> int:
    """The larger of two sizes, likewise."""
    return cast(int, torch.sym_max(a, b))


def whole(length: int, side: int) -> int:
    """``length`` rounded up to a multiple of ``side``.

    Written so that an exporter with dynamic sizes is right and quick: ONNX divides negative numbers otherwise than
    Python, and a size that is mentioned twice here is mentioned thousands of times behind a few layers.
    """
    return ((length - 1) // side + 1) * side


def pad_to_whole(x: Tensor, sides: tuple[int, int]) -> Tensor:
    """Zeros at the bottom and the right, until (N, C, H, W) is a whole number of ``sides`` (height, width) large."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, whole(width, sides[1]) - width, 0, whole(height, sides[0]) - height))


def pad_cells_to_whole(x: Tensor, sides: tuple[int, int]) -> Tensor:
    """The same of (N, H, W, C)."""
    height, width = x.shape[1:3]
    return F.pad(x, (0, 0, 0, whole(width, sides[1]) - width, 0, whole(height, sides[0]) - height))


def windows_of(x: Tensor, sides: tuple[int, int]) -> Tensor:
    """Cuts (N, rows * h, columns * w, C) into windows of ``sides`` (h, w): (N, rows, columns, h * w, C)."""
    split = x.unflatten(2, (x.shape[2] // sides[1], sides[1])).unflatten(1, (x.shape[1] // sides[0], sides[0]))
    return split.transpose(2, 3).flatten(3, 4)


def joined_windows(windows: Tensor, sides: tuple[int, int]) -> Tensor:
    """The way back: (N, rows, columns, h * w, C) to (N, rows * h, columns * w, C)."""
    return windows.unflatten(3, sides).transpose(2, 3).flatten(3, 4).flatten(1, 2)
