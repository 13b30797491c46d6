"""Values of maps at points between the cells, and points where a prediction is in doubt.

Points are (x, y) from 0 to 1 across the map, whatever its size; the centre of the top left cell of an H x W map is at
(0.5 / W, 0.5 / H).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def values_at(maps: Tensor, points: Tensor, *, align_corners: bool = False) -> Tensor:
    """Bilinear values of (N, C, H, W) at (N, P, 2): (N, C, P) of the points' type; beyond the map lie zeros.

    In the points' type, as half has too few digits to say where on a large map a point lies.
    """
    grid = 2 * points.unsqueeze(2) - 1  # (N, P, 1, 2)
    return F.grid_sample(maps.to(points.dtype), grid, align_corners=align_corners).squeeze(3)


def labels_at(labels: Tensor, points: Tensor, *, align_corners: bool = False) -> Tensor:
    """The nearest cell's label: (N, H, W) int64 at (N, P, 2) -> (N, P) int64."""
    grid = 2 * points.unsqueeze(2) - 1
    maps = labels.unsqueeze(1).to(points.dtype)  # exact: labels are small
    picked = F.grid_sample(maps, grid, mode="nearest", padding_mode="border", align_corners=align_corners)
    return picked[:, 0, :, 0].to(labels.dtype)


def class_doubt(logits: Tensor) -> Tensor:
    """How close the two likeliest classes are: (N, K, ...) -> (N, ...), 0 at most; one class is against none."""
    if logits.shape[1] == 1:
        return -logits[:, 0].abs()
    first, second = logits.topk(2, dim=1).values.unbind(1)
    return second - first


class PointDraw(NamedTuple):
    """Random points to choose from.

    Attributes:
        candidates: (N, C, 2), of which the most doubtful are taken.
        anywhere: (N, R, 2), which are taken as they are.
        chosen: how many candidates are taken.
    """

    candidates: Tensor
    anywhere: Tensor
    chosen: int


def draw_points(
    count: int, num_points: int, oversample_ratio: float, importance_ratio: float, device: torch.device
) -> PointDraw:
    """Draws from torch's global generator of the device, so that a seeded step draws the same again.

    Args:
        count: N.
        num_points: points for each of N.
        oversample_ratio: candidates for each point.
        importance_ratio: share of the points that are chosen by doubt.
        device: where to.
    """
    chosen = int(importance_ratio * num_points)
    candidates = torch.rand(count, int(num_points * oversample_ratio), 2, device=device)
    return PointDraw(candidates, torch.rand(count, num_points - chosen, 2, device=device), chosen)


@torch.no_grad()
def doubtful_points(logits: Tensor, doubt: Callable[[Tensor], Tensor], draw: PointDraw) -> Tensor:
    """The candidates most in doubt, and the others (Kirillov et al., 2020, arXiv:1912.08193).

    Args:
        logits: (N, K, H, W).
        doubt: (N, K, P) logits -> (N, P), larger where in more doubt.
        draw: of :func:`draw_points`.

    Returns:
        (N, P, 2) float32.
    """
    order = doubt(values_at(logits, draw.candidates)).topk(draw.chosen, dim=1).indices
    points = draw.candidates.gather(1, order.unsqueeze(2).expand(-1, -1, 2))
    return torch.cat([points, draw.anywhere], dim=1)


def cell_centres(indices: Tensor, size: tuple[int, int]) -> Tensor:
    """Centres of the cells of an H x W map, counted along its rows: (N, P) int64 -> (N, P, 2) float32."""
    height, width = size
    rows = indices // width
    columns = indices - rows * width  # not the remainder, which ONNX's exporter has of fixed sizes only
    return torch.stack([(columns + 0.5) / width, (rows + 0.5) / height], dim=-1)
