"""Resizing by rows is resizing."""

import pytest
import torch
import torch.nn.functional as F

from segkit.ops.rows import resize_rows, source_rows

SIZES = [
    ((5, 7), (40, 56)),
    ((9, 12), (70, 90)),
    ((70, 90), (33, 41)),
    ((6, 6), (6, 20)),
    ((1, 1), (9, 8)),
    ((8, 8), (8, 8)),
]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("source", "size"), SIZES)
@pytest.mark.parametrize("rows", [1, 4, 1000])
def test_rows_are_those_of_the_whole(
    source: tuple[int, int], size: tuple[int, int], rows: int, align_corners: bool
) -> None:
    x = torch.randn(2, 3, *source, generator=torch.Generator().manual_seed(0))
    blocks = []
    for start in range(0, size[0], rows):
        stop = min(start + rows, size[0])
        first, last = source_rows(start, stop, source[0], size[0], align_corners=align_corners)
        band = x[:, :, first:last]  # no row more: a missing one would be an index out of range
        blocks.append(resize_rows(band, first, source[0], size, start, stop, align_corners=align_corners))
    whole = resize_rows(x, 0, source[0], size, 0, size[0], align_corners=align_corners)
    assert torch.equal(torch.cat(blocks, dim=2), whole)
    torch.testing.assert_close(whole, F.interpolate(x, size, mode="bilinear", align_corners=align_corners))
