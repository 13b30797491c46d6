"""Resizing of feature maps and logits."""

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
