"""Losses of enlarged logits that never exist as a whole: some rows at a time, each with its gradient.

Logits at the size of the target are by far the largest tensors of a training step: 16 x 150 x 512 x 512 float32 are
2.5 GB, and so are their softmax, their gradient and that of the softmax. Where a pixel's loss depends on its own logits
alone, rows can be enlarged, judged, and brought back to a gradient of the small logits one band after the other. What
is kept until the backward pass is that gradient.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segkit.losses.terms import Terms
from segkit.ops.rows import resize_rows, rows_of_a_band, source_rows

Judge = Callable[[Tensor, Tensor], Terms]
"""(logits (N, K, rows, W) float32, target (N, rows, W)) -> terms that depend on these pixels only."""


def fits_in_one_band(logits: Tensor, target: Tensor) -> bool:
    """Whether bands would save nothing."""
    return _rows_of_a_band(logits, target) >= target.shape[1]


def terms_in_bands(judge: Judge, logits: Tensor, target: Tensor, *, align_corners: bool) -> Terms:
    """``judge(resize(logits), target)``, summed: both members are scalars.

    Args:
        judge: the loss.
        logits: (N, K, h, w) float32.
        target: (N, H, W).
        align_corners: how logits are enlarged.
    """
    values, total = _SumInBands.apply(logits, target, judge, align_corners)
    return Terms(values, total)


class _SumInBands(torch.autograd.Function):
    """Sums over all pixels, and the gradient of the first sum, in one pass."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, judge: Judge, align_corners: bool) -> tuple[Tensor, Tensor]:
        height, width = target.shape[1:]
        cells = logits.shape[2]
        values, total = logits.new_zeros(()), logits.new_zeros(())
        wanted = ctx.needs_input_grad[0]
        gradient = torch.zeros_like(logits) if wanted else None
        for start, stop in _bands(logits, target):
            first, last = source_rows(start, stop, cells, height, align_corners=align_corners)
            leaf = logits[:, :, first:last].detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                rows = resize_rows(leaf, first, cells, (height, width), start, stop, align_corners=align_corners)
                terms = judge(rows, target[:, start:stop])
                band = terms.values.sum()
            if gradient is not None:
                gradient[:, :, first:last] += torch.autograd.grad(band, leaf)[0]
            values += band.detach()
            total += terms.total.detach()
        ctx.save_for_backward(*() if gradient is None else (gradient,))
        ctx.mark_non_differentiable(total)
        return values, total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_values: Tensor, of_total: Tensor) -> tuple[Tensor | None, None, None, None]:
        saved = ctx.saved_tensors
        return (saved[0] * of_values if saved else None), None, None, None


def _bands(logits: Tensor, target: Tensor) -> Iterator[tuple[int, int]]:
    """First row of each band, and the row after its last."""
    height, step = target.shape[1], _rows_of_a_band(logits, target)
    for start in range(0, height, step):
        yield start, min(start + step, height)


def _rows_of_a_band(logits: Tensor, target: Tensor) -> int:
    row = 4 * logits.shape[0] * logits.shape[1] * target.shape[2]
    return rows_of_a_band(row, logits.device)
