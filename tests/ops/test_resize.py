"""Resizing keeps what it is told to keep."""

import pytest
import torch
from torch import Tensor, nn

from segkit.ops.resize import fit, resize, resize_branchless, resize_like

RAMP = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 3, 4)


def test_aligned_corners_stay_in_place() -> None:
    wide = resize(RAMP, (3, 7), align_corners=True)
    torch.testing.assert_close(wide[0, 0, 0], torch.arange(7) / 2)


def test_unaligned_corners_count_cells_as_areas() -> None:
    wide = resize(RAMP, (3, 8), align_corners=False)
    torch.testing.assert_close(wide[0, 0, 0], torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest", "area"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_every_mode_takes_either_setting(mode: str, align_corners: bool) -> None:
    assert resize(RAMP, (5, 6), align_corners=align_corners, mode=mode).shape == (1, 1, 5, 6)


def test_resize_like_takes_only_the_size() -> None:
    assert resize_like(torch.randn(2, 3, 4, 5), torch.randn(1, 9, 8, 7)).shape == (2, 3, 8, 7)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (3, 4), (7, 9), (2, 11), (13, 2)])
def test_without_a_branch_it_is_the_same(size: tuple[int, int], align_corners: bool) -> None:
    x = torch.randn(2, 3, 5, 6)
    found = resize_branchless(x, size, int(align_corners))
    torch.testing.assert_close(found, resize(x, size, align_corners=align_corners), rtol=1e-5, atol=1e-6)


def test_what_fits_is_returned_as_it_is() -> None:
    x = torch.randn(2, 3, 5, 6)
    assert fit(x, (5, 6)) is x
    assert torch.equal(fit(x, (7, 6), align_corners=True), resize(x, (7, 6), align_corners=True))


class Even(nn.Module):
    """Makes sides even."""

    def forward(self, x: Tensor) -> Tensor:
        return fit(x, (x.shape[2] + x.shape[2] % 2, x.shape[3] + x.shape[3] % 2))


@pytest.mark.filterwarnings("ignore")  # TorchScript is deprecated, and wary of sizes
@pytest.mark.parametrize("kind", ["program", "trace"])
@pytest.mark.parametrize("traced", [(4, 6), (5, 7)])
def test_exported_once_it_fits_at_other_sizes(kind: str, traced: tuple[int, int]) -> None:
    x, free = torch.randn(1, 2, *traced), torch.export.Dim.DYNAMIC
    if kind == "program":
        found = torch.export.export(Even(), (x,), dynamic_shapes=({2: free, 3: free},)).module()
    else:
        found = torch.jit.trace(Even(), x)
    for size in ((8, 8), (9, 6), (11, 13)):
        x = torch.randn(1, 2, *size)
        assert torch.equal(found(x), Even()(x))
