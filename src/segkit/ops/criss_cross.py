"""Attention to the row and the column of each position (Huang et al., 2019, arXiv:1811.11721)."""

import torch
from torch import Tensor


def criss_cross_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Means of the values in each position's column and row, weighed by one softmax over both.

    A position meets itself once, in its row. Two batched products and no (HW, HW) matrix: the weights are
    (N, H, W, H + W).

    Args:
        query: (N, D, H, W).
        key: (N, D, H, W).
        value: (N, C, H, W).

    Returns:
        (N, C, H, W).
    """
    height = query.shape[2]
    columns = torch.einsum("ndhw,ndgw->nhwg", query, key)  # (N, H, W, H)
    own = torch.eye(height, dtype=torch.bool, device=query.device)[:, None, :]  # (H, 1, H)
    rows = torch.einsum("ndhw,ndhv->nhwv", query, key)  # (N, H, W, W)
    weights = torch.cat([columns.masked_fill(own, -torch.inf), rows], dim=-1).softmax(dim=-1).to(value.dtype)
    vertical = torch.einsum("nhwg,ncgw->nchw", weights[..., :height], value)
    return vertical + torch.einsum("nhwv,nchv->nchw", weights[..., height:], value)
