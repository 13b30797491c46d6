"""Pooling equals torch's where that works, and stays so when exported."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkit.ops.pooling import grid_means, window_means

SIZES = [(12, 12), (7, 13), (1, 1), (4, 5)]


@pytest.mark.parametrize("side", [1, 2, 3, 6])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_adaptive_average_pooling(side: int, size: tuple[int, int], memory_format: torch.memory_format) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64).contiguous(memory_format=memory_format)
    torch.testing.assert_close(grid_means(x, side), F.adaptive_avg_pool2d(x, side))


def test_gradient_is_right_where_cells_overlap() -> None:
    x = torch.randn(1, 2, 5, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: grid_means(t, 3), x)


def test_half_does_not_overflow() -> None:
    x = torch.full((1, 1, 128, 128), 100.0, dtype=torch.float16)
    torch.testing.assert_close(grid_means(x, 1).float(), torch.full((1, 1, 1, 1), 100.0), rtol=2e-3, atol=0)


def test_exported_once_it_is_right_at_other_sizes() -> None:
    class Pool(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return grid_means(x, 3)

    dims = {2: torch.export.Dim("height", min=2, max=64), 3: torch.export.Dim("width", min=2, max=64)}
    exported = torch.export.export(Pool(), (torch.randn(1, 2, 9, 12),), dynamic_shapes=(dims,)).module()
    x = torch.randn(1, 2, 13, 8)
    torch.testing.assert_close(exported(x), F.adaptive_avg_pool2d(x, 3))


@pytest.mark.parametrize("size", [(49, 49), (50, 97), (70, 60)])
def test_windows_equal_average_pooling_where_that_works(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(window_means(x, 49, (16, 20)), F.avg_pool2d(x, 49, (16, 20)))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (48, 33)])
def test_a_window_larger_than_the_map_pools_it_whole(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(window_means(x, 49, (16, 20)), x.mean((2, 3), keepdim=True))


def test_a_window_shrinks_along_one_side_only() -> None:
    x = torch.randn(1, 2, 60, 20, dtype=torch.float64)
    torch.testing.assert_close(window_means(x, 30, (10, 10)), F.avg_pool2d(x, (30, 20), (10, 10)))


def test_exported_once_windows_are_right_or_refused_at_other_sizes() -> None:
    class Pool(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return window_means(x, 5, (2, 3))

    dims = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    exported = torch.export.export(Pool(), (torch.randn(1, 2, 19, 22),), dynamic_shapes=(dims,)).module()
    for size in ((13, 8), (9, 12)):
        x = torch.randn(1, 2, *size)
        torch.testing.assert_close(exported(x), F.avg_pool2d(x, 5, (2, 3)))
    with pytest.raises(AssertionError, match="Guard failed"):  # one window where there were several
        exported(torch.randn(1, 2, 4, 4))
