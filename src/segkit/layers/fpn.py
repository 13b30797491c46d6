"""Feature pyramids: coarse levels flow down into fine ones."""

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.errors import ConfigError, Problem
from segkit.layers.conv import ConvNormAct
from segkit.ops.resize import resize, resize_like
from segkit.types import FeatureSpec


def add_top_down(levels: Sequence[Tensor], *, mode: str = "nearest", align_corners: bool = False) -> list[Tensor]:
    """Adds to each level the resized sum of those coarser than it; levels are finest first and of one width."""
    sums = [levels[-1]]
    for level in reversed(levels[:-1]):
        height, width = level.shape[-2:]
        sums.append(level + resize(sums[-1], (height, width), align_corners=align_corners, mode=mode))
    return sums[::-1]


class FeaturePyramid(nn.Module):
    """Brings features to one width and adds the coarser to the finer (Lin et al., 2017, arXiv:1612.03144).

    Args:
        in_channels: channels of each feature, finest first.
        channels: C, the width of each level.
        mode: how a level is enlarged, as torch calls it.
        align_corners: whether a bilinear enlargement lines up the corners.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``in_channels``.
        - Output: one (N, C, H_i, W_i) for each.
    """

    def __init__(
        self, in_channels: Sequence[int], channels: int, *, mode: str = "nearest", align_corners: bool = False
    ) -> None:
        super().__init__()
        self.mode = mode
        self.align_corners = align_corners
        self.laterals = nn.ModuleList(ConvNormAct(width, channels, 1) for width in in_channels)
        self.smooth = nn.ModuleList(ConvNormAct(channels, channels, 3) for _ in in_channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        laterals = [lateral(x) for lateral, x in zip(self.laterals, features, strict=True)]
        levels = add_top_down(laterals, mode=self.mode, align_corners=self.align_corners)
        return [smooth(x) for smooth, x in zip(self.smooth, levels, strict=True)]


def stepwise_strides(strides: Sequence[int] | None, features: Sequence[FeatureSpec]) -> tuple[int, ...]:
    """The strides for a :class:`StepwiseSum`: those given, or the features' own.

    Raises:
        ConfigError: if there is not one for each feature, or one is no power of 2 times the first.
    """
    strides = tuple(strides or (spec.stride for spec in features))
    ratios = [stride / strides[0] for stride in strides]
    if len(strides) != len(features) or any(ratio not in (1, 2, 4, 8, 16) for ratio in ratios):
        text = f"needs one for each of the backbone's {len(features)} features, each 1, 2, 4, 8 or 16 times the first"
        raise ConfigError([Problem("head.strides", f"{text} (got {list(strides)})")])
    return strides


class StepwiseSum(nn.Module):
    """Doubles each level until it has the finest one's stride, and sums them (Kirillov et al., 2019, arXiv:1901.02446).

    Args:
        in_channels: width of every level.
        channels: C, the width of the sum.
        strides: input pixels per cell of each level, finest first; the ratio to the first is a power of 2.
        align_corners: whether the enlargements line up the corners.

    Shape:
        - Input: one (N, in_channels, H_i, W_i) for each stride.
        - Output: (N, C, H_0, W_0).
    """

    def __init__(self, in_channels: int, channels: int, strides: Sequence[int], *, align_corners: bool = False) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.doublings = [(stride // strides[0]).bit_length() - 1 for stride in strides]
        self.branches = nn.ModuleList(
            nn.Sequential(*(ConvNormAct(channels if i else in_channels, channels, 3) for i in range(max(times, 1))))
            for times in self.doublings
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        total, *others = (
            self._enlarge(branch, x, times)
            for branch, x, times in zip(self.branches, levels, self.doublings, strict=True)
        )
        for x in others:
            total = total + resize_like(x, total, align_corners=self.align_corners)
        return total

    def _enlarge(self, branch: nn.Module, x: Tensor, times: int) -> Tensor:
        for i, conv in enumerate(branch.children()):
            x = conv(x)
            if i < times:
                x = resize(x, (2 * x.shape[-2], 2 * x.shape[-1]), align_corners=self.align_corners)
        return x
