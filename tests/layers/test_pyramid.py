"""Context modules, against their definitions."""

import torch
from torch import Tensor
from torch.nn import functional as F

from segkit.layers.conv import DepthwiseSeparableConv
from segkit.layers.pyramid import ASPP, PyramidPooling


def test_pyramid_pooling_is_its_definition() -> None:
    pool = PyramidPooling(4, 2, (1, 3)).eval()
    x = torch.randn(2, 4, 7, 10)
    branches = [stage(F.adaptive_avg_pool2d(x, side)) for stage, side in zip(pool.stages, (1, 3), strict=True)]
    expected = torch.cat([x, *(F.interpolate(b, (7, 10), mode="bilinear") for b in branches)], dim=1)
    torch.testing.assert_close(pool(x), expected)
    assert pool.out_channels == expected.shape[1]


def test_aspp_stacks_its_branches_and_the_mean() -> None:
    aspp = ASPP(4, 2, (1, 6, 12)).eval()
    x = torch.randn(2, 4, 7, 10)
    out = aspp(x)
    assert out.shape == (2, aspp.out_channels, 7, 10)
    assert [branch.conv.kernel_size for branch in aspp.branches] == [(1, 1), (3, 3), (3, 3)]
    assert [branch.conv.dilation for branch in aspp.branches] == [(1, 1), (6, 6), (12, 12)]
    mean: Tensor = aspp.pooled(x.mean((2, 3), keepdim=True))
    torch.testing.assert_close(out[:, -2:], mean.expand(-1, -1, 7, 10))


def test_separable_aspp_keeps_the_1x1_branch_whole() -> None:
    aspp = ASPP(4, 2, (1, 6), separable=True)
    assert [isinstance(branch, DepthwiseSeparableConv) for branch in aspp.branches] == [False, True]
