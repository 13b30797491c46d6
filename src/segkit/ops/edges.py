"""Edges between the classes of a label."""

import torch
import torch.nn.functional as F
from torch import Tensor


def label_edges(labels: Tensor, *, width: int, ignore_index: int) -> Tensor:
    """Where classes meet: 1 on edges, 0 elsewhere, ``ignore_index`` where the label is ignored; as int64.

    Args:
        labels: (N, H, W) int64 class ids or ``ignore_index``.
        width: side of the square that the edges are dilated with.
        ignore_index: label that meets nothing.
    """
    edges = meeting_pixels(labels, width=width, ignore_index=ignore_index)
    return edges.long().masked_fill(labels == ignore_index, ignore_index)


def meeting_pixels(labels: Tensor, *, width: int, ignore_index: int) -> Tensor:
    """Whether a pixel lies on an edge between classes, ignored pixels near one included: (N, H, W) bool.

    A pixel lies on an edge if its class differs from that of the one above, to the right or to the lower right, or
    from that to the lower left of its left neighbour (of each rising diagonal the upper pixel counts); then all
    edges grow to ``width`` pixels.

    Args:
        labels: (N, H, W) class ids or ``ignore_index``.
        width: side of the square that the edges are dilated with.
        ignore_index: label that meets nothing.
    """
    edges = torch.zeros_like(labels, dtype=torch.bool)
    edges[:, 1:] |= _differ(labels[:, 1:], labels[:, :-1], ignore_index)
    edges[:, :, :-1] |= _differ(labels[:, :, :-1], labels[:, :, 1:], ignore_index)
    edges[:, :-1, :-1] |= _differ(labels[:, :-1, :-1], labels[:, 1:, 1:], ignore_index)
    edges[:, :-1, 1:] |= _differ(labels[:, :-1, 1:], labels[:, 1:, :-1], ignore_index)
    before, after = width // 2, (width - 1) // 2  # the anchor of an even square lies behind its middle
    framed = F.pad(edges.float(), (before, after, before, after))
    return F.max_pool2d(framed, width, stride=1) > 0


def _differ(a: Tensor, b: Tensor, ignore_index: int) -> Tensor:
    return (a != b) & (a != ignore_index) & (b != ignore_index)
