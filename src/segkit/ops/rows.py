"""Bilinear resizing of a band of rows, for maps that are too large to hold at once."""

import torch
import torch.nn.functional as F
from torch import Tensor

BAND_BYTES = {"cpu": 2**24, "cuda": 2**28}
"""Enlarged maps at work at a time. On a CPU they should stay in its caches; on a GPU each band should fill it."""


def rows_of_a_band(row_bytes: int, device: torch.device) -> int:
    """How many rows of so many bytes to work on at a time; at least one."""
    return max(BAND_BYTES.get(device.type, BAND_BYTES["cuda"]) // row_bytes, 1)


def source_rows(start: int, stop: int, in_height: int, out_height: int, *, align_corners: bool) -> tuple[int, int]:
    """First and past-the-last row of the input that the output rows ``start`` to ``stop`` are made of."""
    lower, upper, _ = bilinear_taps(start, stop, in_height, out_height, align_corners)
    return int(lower[0]), int(upper[-1]) + 1


def resize_rows(
    band: Tensor, first: int, in_height: int, size: tuple[int, int], start: int, stop: int, *, align_corners: bool
) -> Tensor:
    """Rows ``start`` to ``stop`` of a map resized bilinearly to ``size``.

    The result does not depend on how the rows are dealt out, and agrees with resizing the whole map by
    ``F.interpolate`` up to the rounding of float32.

    Args:
        band: (N, C, rows, W) the rows of the map from ``first`` on, at least those of :func:`source_rows`.
        first: which row of the map ``band`` begins with.
        in_height: height of the whole map.
        size: (height, width) of the whole result.

    Returns:
        (N, C, stop - start, size[1]).
    """
    if band.shape[-1] != size[1]:  # across first: there are fewer rows to do before the height grows
        band = F.interpolate(band, (band.shape[-2], size[1]), mode="bilinear", align_corners=align_corners)
    if in_height == size[0]:
        return band[:, :, start - first : stop - first]
    lower, upper, weight = bilinear_taps(start, stop, in_height, size[0], align_corners)
    # Without waiting for the device, which may be busy with what comes before.
    lower, upper = ((index - first).to(band.device, non_blocking=True) for index in (lower, upper))
    weight = weight.to(band.device, band.dtype, non_blocking=True)[:, None]
    # Not a matrix product, which autocast and TF32 would round.
    return torch.lerp(band.index_select(2, lower), band.index_select(2, upper), weight)


def bilinear_taps(
    start: int, stop: int, in_height: int, out_height: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """For each output row the two input rows that it lies between, and the share of the second."""
    rows = torch.arange(start, stop, dtype=torch.float32)  # as F.interpolate counts, so that the two agree
    if align_corners:
        source = rows * torch.tensor((in_height - 1) / max(out_height - 1, 1))
    else:
        source = ((rows + 0.5) * torch.tensor(in_height / out_height) - 0.5).clamp(min=0)
    lower = source.floor().long().clamp(max=in_height - 1)
    return lower, (lower + 1).clamp(max=in_height - 1), source - lower
