"""Context from several scales: pooled grids and dilated branches."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from segkit.config.heads import ContextPyramidConfig
from segkit.layers.conv import ConvNormAct, DepthwiseSeparableConv
from segkit.ops.pooling import grid_means
from segkit.ops.resize import join_like_first


class PyramidPooling(nn.Module):
    """Stacks the input with its means over coarser grids (Zhao et al., 2017, arXiv:1612.01105).

    Args:
        in_channels: C, the input's channels.
        channels: width of each grid's branch.
        scales: side length of each grid; 1 is the global mean.
        align_corners: how the grids are resized to the input.

    Attributes:
        out_channels: in_channels + channels * len(scales).

    Shape:
        - Input: (N, C, H, W).
        - Output: (N, out_channels, H, W): the input, then each grid in the order of ``scales``.
    """

    def __init__(self, in_channels: int, channels: int, scales: Sequence[int], *, align_corners: bool = False) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.align_corners = align_corners
        self.out_channels = in_channels + channels * len(self.scales)
        self.stages = nn.ModuleList(ConvNormAct(in_channels, channels, 1) for _ in self.scales)

    def forward(self, x: Tensor) -> Tensor:
        pooled = (stage(grid_means(x, scale)) for stage, scale in zip(self.stages, self.scales, strict=True))
        return join_like_first([x, *pooled], align_corners=self.align_corners)


class ASPP(nn.Module):
    """Parallel convolutions of several dilations and the global mean (Chen et al., 2017, arXiv:1706.05587).

    Args:
        in_channels: C, the input's channels.
        channels: width of each branch.
        dilations: dilation of each branch; 1 is a 1x1 convolution, the others are 3x3.
        separable: the 3x3 branches are depthwise separable (DeepLabv3+, arXiv:1802.02611).

    Attributes:
        out_channels: channels * (len(dilations) + 1).

    Shape:
        - Input: (N, C, H, W).
        - Output: (N, out_channels, H, W): the branches in order, then the global mean.
    """

    def __init__(self, in_channels: int, channels: int, dilations: Sequence[int], *, separable: bool = False) -> None:
        super().__init__()
        wide = DepthwiseSeparableConv if separable else ConvNormAct
        self.out_channels = channels * (len(dilations) + 1)
        self.branches = nn.ModuleList(
            ConvNormAct(in_channels, channels, 1)
            if dilation == 1
            else wide(in_channels, channels, 3, dilation=dilation)
            for dilation in dilations
        )
        self.pooled = ConvNormAct(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooled(grid_means(x, 1)).expand(-1, -1, *x.shape[-2:])
        return torch.cat([*(branch(x) for branch in self.branches), pooled], dim=1)


class FusedPyramid(nn.Module):
    """One of the two pyramids, and a 3x3 convolution that fuses its branches.

    Args:
        kind: ``aspp`` or ``ppm``.
        in_channels: C, the input's channels.
        channels: width of each branch and of the result.
        config: the dilations of an ``aspp``, or the grids of a ``ppm``.

    Shape:
        - Input: (N, C, H, W).
        - Output: (N, channels, H, W).
    """

    def __init__(
        self, kind: Literal["aspp", "ppm"], in_channels: int, channels: int, config: ContextPyramidConfig
    ) -> None:
        super().__init__()
        self.pyramid: ASPP | PyramidPooling
        if kind == "aspp":
            self.pyramid = ASPP(in_channels, channels, config.dilations)
        else:
            scales, corners = config.pool_scales, config.align_corners
            self.pyramid = PyramidPooling(in_channels, channels, scales, align_corners=corners)
        self.fuse = ConvNormAct(self.pyramid.out_channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(self.pyramid(x))
