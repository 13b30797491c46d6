"""Resizing of feature maps and logits."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.ops.sizes import exporting, int_max

_CORNERED = ("bilinear", "bicubic")  # the other modes have no corners to line up


def resize(x: Tensor, size: tuple[int, int], *, align_corners: bool, mode: str = "bilinear") -> Tensor:
    """Resizes (N, C, H, W) to ``size``, given as (height, width).

    Args:
        align_corners: whether the centres of the corner cells stay in place; "nearest" and "area" ignore it.
        mode: one of torch's interpolation modes for images.
    """
    return F.interpolate(x, size, mode=mode, align_corners=align_corners if mode in _CORNERED else None)


def resize_like(x: Tensor, reference: Tensor, *, align_corners: bool = False) -> Tensor:
    """Resizes (N, C, H, W) bilinearly to the height and width of ``reference``."""
    height, width = reference.shape[-2:]
    return resize(x, (height, width), align_corners=align_corners)


def join_like_first(maps: Sequence[Tensor], *, align_corners: bool = False) -> Tensor:
    """Joins (N, C_i, H_i, W_i) along the channels, each resized bilinearly to the height and width of the first."""
    first, *others = maps
    return torch.cat([first, *(resize_like(x, first, align_corners=align_corners) for x in others)], dim=1)


def fit(x: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """As :func:`resize`, bilinearly; what has the size already is returned as it is.

    In an export it is resized to its own size, which changes nothing: of a branch, only the side that the traced size
    takes would be kept.
    """
    same = not exporting() and tuple(x.shape[-2:]) == size
    return x if same else resize(x, size, align_corners=align_corners)


def halve(x: Tensor, *, align_corners: bool) -> Tensor:
    """Half of (N, C, H, W) in each direction, rounded down but at least 1, bilinearly.

    Cells are taken two input cells apart whatever the rounding, other than a resize to the same size would.
    """
    if min(x.shape[-2:]) < 2:
        return resize(x, (max(x.shape[2] // 2, 1), max(x.shape[3] // 2, 1)), align_corners=align_corners)
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=align_corners)


def resize_branchless(x: Tensor, size: tuple[int, int], aligned: int) -> Tensor:
    """As :func:`resize`, bilinearly, with ``aligned`` 1 or 0 for ``align_corners`` true or false.

    Two products with matrices that are built from the sizes at hand: where ``aligned`` follows from the size, an export
    with dynamic size would keep the one that it was traced with.
    """
    rows, columns = (_bilinear(x.shape[dim], side, aligned, x) for dim, side in ((2, size[0]), (3, size[1])))
    return rows @ x @ columns.T


def _bilinear(before: int, after: int, aligned: int, like: Tensor) -> Tensor:
    """(after, before) weights of the old cells in each new one. ONNX's exporter wants whole numbers for sizes."""
    cell = torch.arange(after, device=like.device)
    cornered = cell * (before - 1) / int_max(after - 1, 1)
    centred = (2 * cell + 1) * before / (2 * after) - 0.5
    place = torch.where((cell * 0 + aligned).bool(), cornered, centred)
    distance = (place[:, None] - torch.arange(before, device=like.device)).abs()
    weights = (1 - distance).clamp(min=0)
    return (weights / weights.sum(dim=1, keepdim=True)).to(like.dtype)  # beyond the outer centres, one cell is all
