"""grid_means is adaptive average pooling, and stays so when exported."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkit.ops.pooling import grid_means

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
