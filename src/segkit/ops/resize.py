"""Resizing of feature maps and logits."""

import torch
import torch.nn.functional as F
from torch import Tensor

_CORNERED = ("bilinear", "bicubic")  # the other modes have no corners to line up


def resize(x: Tensor, size: tuple[int, int], *, align_corners: bool, mode: str = "bilinear") -> Tensor:
    """Resizes (N, C, H, W) to ``size``, given as (height, width).

    Args:
        align_corners: whether the centres of the corner cells stay in place; "nearest" and "area" ignore it.
        mode: one of torch's interpolation modes for images.
    """
    return F.interpolate(x, size, mode=mode, align_corners=align_corners if mode in _CORNERED else None)


def resize_rows(x: Tensor, size: tuple[int, int], first: int, last: int, *, align_corners: bool) -> Tensor:
    """Rows ``first`` to ``last`` - 1 of ``resize(x, size)``, bilinear, without computing the others.

    Args:
        x: (N, C, h, w).
        size: (height, width) of the whole result.
        first: the first row.
        last: the row after the last.
        align_corners: as in :func:`resize`.

    Returns:
        (N, C, last - first, width).
    """
    height, count = size[0], x.shape[2]
    rows = torch.arange(first, last, device=x.device, dtype=torch.float32)
    if align_corners:
        rows = rows * ((count - 1) / (height - 1) if height > 1 else 0)
    else:
        rows = ((rows + 0.5) * (count / height) - 0.5).clamp(min=0)
    upper = rows.long().clamp(max=count - 1)
    lower = (upper + 1).clamp(max=count - 1)
    share = (rows - upper).to(x.dtype)[:, None]  # (rows, 1)
    mixed = torch.lerp(x.index_select(2, upper), x.index_select(2, lower), share)
    return resize(mixed, (last - first, size[1]), align_corners=align_corners)


def resize_like(x: Tensor, reference: Tensor, *, align_corners: bool = False) -> Tensor:
    """Resizes (N, C, H, W) bilinearly to the height and width of ``reference``."""
    height, width = reference.shape[-2:]
    return resize(x, (height, width), align_corners=align_corners)


def halve(x: Tensor, *, align_corners: bool) -> Tensor:
    """Half of (N, C, H, W) in each direction, rounded down but at least 1, bilinearly.

    Cells are taken two input cells apart whatever the rounding, other than a resize to the same size would.
    """
    if min(x.shape[-2:]) < 2:
        return resize(x, (max(x.shape[2] // 2, 1), max(x.shape[3] // 2, 1)), align_corners=align_corners)
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=align_corners)
