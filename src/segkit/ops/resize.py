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
