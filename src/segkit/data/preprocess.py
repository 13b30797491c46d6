"""The device's part of the way from file to model: float conversion, normalisation, fill of the padding."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Preprocessor(nn.Module):
    """Makes the model's input from a batch of pixels.

    Args:
        mean: of each channel, in the pixels' units.
        std: of each channel.
        fill: value of padded pixels after normalisation.
        memory_format: of the result.

    Shape:
        - Input: images (N, C, H, W) uint8 or float32; boxes (N, 4) int64 rows (top, left, height, width), or None.
        - Output: (N, C, H, W) float32.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        fill: float = 0.0,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.fill = fill
        self.memory_format = memory_format

    def forward(self, images: Tensor, boxes: Tensor | None = None) -> Tensor:
        x = images.to(torch.float32, memory_format=self.memory_format)
        x = torch.addcmul(-self.mean / self.std, x, 1 / self.std)  # one pass over the pixels
        if boxes is not None and not _fills_frame(boxes, x.shape[2], x.shape[3]):
            x = torch.where(inside(boxes, x.shape[2], x.shape[3]), x, self.fill)
        return x


def _fills_frame(boxes: Tensor, height: int, width: int) -> bool:
    """Whether there is no padding, as far as that is known without waiting for a GPU."""
    return boxes.device.type == "cpu" and bool((boxes[:, 2] >= height).all() and (boxes[:, 3] >= width).all())


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Where the images lie in their frames: (N, 4) boxes to (N, 1, H, W) bool."""
    top, left, box_height, box_width = (column.view(-1, 1) for column in boxes.unbind(1))
    rows = torch.arange(height, device=boxes.device)
    cols = torch.arange(width, device=boxes.device)
    row_in = (rows >= top) & (rows < top + box_height)  # (N, H)
    col_in = (cols >= left) & (cols < left + box_width)  # (N, W)
    return row_in[:, None, :, None] & col_in[:, None, None, :]
