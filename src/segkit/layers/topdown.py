"""A feature pyramid below a map that is ready, all levels put together at the finest."""

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.layers.conv import ConvNormAct
from segkit.layers.fpn import add_top_down
from segkit.ops.resize import join_like_first


class TopDownStack(nn.Module):
    """Lets a coarse map flow down into finer features, and stacks all at the finest one's size.

    Args:
        in_channels: channels of each finer feature, finest first.
        channels: C, the coarse map's, to which the finer features are brought.
        out_channels: of each finer level in the stack.
        align_corners: how resizes line up the corners.

    Attributes:
        out_channels: of the whole stack: out_channels * len(in_channels) + channels.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``in_channels``; (N, C, h, w).
        - Output: (N, out_channels, H_0, W_0): the levels from the finest, then the coarse map.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, out_channels: int, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.out_channels = out_channels * len(in_channels) + channels
        self.laterals = nn.ModuleList(ConvNormAct(width, channels, 1) for width in in_channels)
        self.smooth = nn.ModuleList(ConvNormAct(channels, out_channels, 3) for _ in in_channels)

    def forward(self, features: Sequence[Tensor], top: Tensor) -> Tensor:
        laterals = [lateral(x) for lateral, x in zip(self.laterals, features, strict=True)]
        *lower, top = add_top_down([*laterals, top], mode="bilinear", align_corners=self.align_corners)
        levels = [*(smooth(x) for smooth, x in zip(self.smooth, lower, strict=True)), top]
        return join_like_first(levels, align_corners=self.align_corners)
