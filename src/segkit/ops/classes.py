"""Vectors of classes: means of features over the cells, or over the labelled pixels, of each."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.ops.rows import bilinear_taps


def class_vectors(features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """One vector for each class predicted in an image: the mean of its cells, weighted by the softmax over them.

    Args:
        features: (N, C, H, W).
        logits: (N, K, H, W); a cell belongs to its most probable class, and weighs by that class's logit.

    Returns:
        (N, K, C) vectors, 0 for classes without a cell; (N, H, W) classes.
    """
    labels = logits.argmax(dim=1)
    members = labels.unsqueeze(1) == torch.arange(logits.shape[1], device=labels.device).view(-1, 1, 1)
    scores = logits.float().masked_fill(~members, torch.finfo(torch.float32).min)  # infinite: NaN where none is left
    shares = scores.flatten(2).softmax(dim=2) * members.flatten(2)
    return shares.to(features.dtype) @ features.flatten(2).transpose(1, 2), labels


def spread(vectors: Tensor, labels: Tensor) -> Tensor:
    """Gives each cell the vector of its class: (N, K, C) and (N, H, W) -> (N, C, H, W)."""
    index = labels.flatten(1).unsqueeze(2).expand(-1, -1, vectors.shape[2])
    return vectors.gather(1, index).transpose(1, 2).unflatten(2, labels.shape[-2:])


def class_shares(logits: Tensor, *, hard: bool) -> Tensor:
    """How much of each cell belongs to each class: (N, K, H, W) probabilities, or ``hard`` 1 for the most probable."""
    if not hard:
        return logits.softmax(dim=1)
    return F.one_hot(logits.argmax(dim=1), logits.shape[1]).movedim(-1, 1).to(logits.dtype)


class Corners(NamedTuple):
    """For each of P pixels the four cells of which a bilinear resize makes it.

    Attributes:
        cells: (4, P) int64, row * width + column: upper left, upper right, lower left, lower right.
        weights: (4, P) float32; they sum to 1.
    """

    cells: Tensor
    weights: Tensor


def corners(cells: tuple[int, int], pixels: tuple[int, int], *, align_corners: bool, device: torch.device) -> Corners:
    """How a map of ``cells`` (height, width) is resized bilinearly to ``pixels`` (height, width)."""
    (upper, lower, down), (left, right, across) = (
        bilinear_taps(0, pixels[i], cells[i], pixels[i], align_corners=align_corners) for i in (0, 1)
    )
    down = down.masked_fill(upper == lower, 0)[:, None]  # at the edge both are one cell
    across = across.masked_fill(left == right, 0)[None]
    rows, columns = torch.stack([upper, upper, lower, lower]), torch.stack([left, right, left, right])
    index = rows[:, :, None] * cells[1] + columns[:, None, :]  # (4, H, W)
    shares = torch.stack([(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across])
    return Corners(index.flatten(1).to(device), shares.flatten(1).to(device))


def values_at_labels(maps: Tensor, labels: Tensor, at: Corners) -> Tensor:
    """What each pixel would have in the map of its label, were all resized: (N, M, h, w) and (N, P) -> (N, P)."""
    size = maps.shape[-2] * maps.shape[-1]
    flat = maps.flatten(1)
    return sum(
        weights * flat.gather(1, labels * size + cells) for cells, weights in zip(at.cells, at.weights, strict=True)
    )


def shares_of_cells(values: Tensor, labels: Tensor, num_labels: int, at: Corners, num_cells: int) -> Tensor:
    """How much each cell adds to a sum over the pixels of each label, were the map resized.

    The transpose of the resize: ``shares @ features`` is the sum of ``value * feature`` over a label's pixels, and no
    feature is ever as large as the image.

    Args:
        values: (N, P) float32, 0 for pixels that do not count.
        labels: (N, P) in [0, num_labels).
        num_labels: M.
        at: the cells of each pixel.
        num_cells: h * w.

    Returns:
        (N, M, h * w).
    """
    count = len(values)
    shares = values.new_zeros(count * num_labels * num_cells)
    first = torch.arange(count, device=values.device)[:, None] * num_labels
    for cells, weights in zip(at.cells, at.weights, strict=True):
        shares.scatter_add_(0, ((first + labels) * num_cells + cells).flatten(), (values * weights).flatten())
    return shares.view(count, num_labels, num_cells)


def squared_norms(features: Tensor, at: Corners) -> Tensor:
    """Squared lengths of the vectors of pixels, were the map resized: (N, C, h, w) -> (N, P).

    From products of neighbouring cells, which are as small as the map.
    """
    neighbours = F.pad(features, (0, 1, 0, 1))  # the pad has no weight
    here, right = neighbours[..., :-1, :-1], neighbours[..., :-1, 1:]
    below, beyond = neighbours[..., 1:, :-1], neighbours[..., 1:, 1:]
    own, horizontal, vertical = ((here * x).sum(1).flatten(1) for x in (here, right, below))  # (N, h * w) each
    crosswise = ((here * beyond) + (right * below)).sum(1).flatten(1)
    (a, b, c, _), (p, q, r, s) = at.cells, at.weights
    squares = sum(w * w * own[:, i] for i, w in zip(at.cells, at.weights, strict=True))
    sides = p * q * horizontal[:, a] + r * s * horizontal[:, c] + p * r * vertical[:, a] + q * s * vertical[:, b]
    return squares + 2 * (sides + p * s * crosswise[:, a])  # p * s is q * r


class ClassSums(NamedTuple):
    """Sums over the pixels of each class.

    Attributes:
        sums: (K, C).
        counts: (K,) float32 pixels.
    """

    sums: Tensor
    counts: Tensor


def class_sums(features: Tensor, target: Tensor, num_classes: int, *, align_corners: bool) -> ClassSums:
    """Sums of (N, C, h, w) features, resized to the labels, over the pixels of each class.

    Args:
        features: float32.
        target: (N, H, W) int64 class ids or ``IGNORE_INDEX``.
        num_classes: K.
        align_corners: how the resize lines up the corners.
    """
    size = (features.shape[-2], features.shape[-1])
    at = corners(size, (target.shape[-2], target.shape[-1]), align_corners=align_corners, device=target.device)
    labels, valid = flat_labels(target, num_classes)
    shares = shares_of_cells(valid, labels, num_classes, at, size[0] * size[1])
    return ClassSums(torch.einsum("nkp,ncp->kc", shares, features.flatten(2)), label_sums(valid, labels, num_classes))


def flat_labels(target: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """(N, H, W) labels as (N, P), 0 where they are no class, and (N, P) float32 that is 0 there and 1 elsewhere."""
    flat = target.flatten(1)
    valid = flat < num_classes  # IGNORE_INDEX is above
    return flat.masked_fill(~valid, 0), valid.float()


def label_sums(values: Tensor, labels: Tensor, num_labels: int) -> Tensor:
    """Sums of ``values`` over the places of each label, both of one shape: (num_labels,)."""
    return values.new_zeros(num_labels).scatter_add_(0, labels.flatten(), values.flatten())
