"""FastFCN's joint pyramid upsampling (Wu et al., 2019, arXiv:1903.11816)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import JPUConfig
from segkit.errors import ConfigError, Problem
from segkit.layers.conv import ConvNormAct
from segkit.models.necks.base import Neck
from segkit.ops.resize import join_like_first
from segkit.registry import NECKS
from segkit.types import FeatureSpec


@NECKS.register(JPUConfig)
class JPU(Neck):
    """Joins the deepest features at the finest one's size and looks at them with several dilations.

    A head then sees what a backbone of a smaller output stride would give it, at a fraction of the cost.

    Args:
        config: the options.
        features: what the backbone returns, finest first; the last ``config.levels`` are joined.
        align_corners: how the joined features are resized.

    Raises:
        ConfigError: if the backbone returns fewer features.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: the same, but for the last, (N, channels * number of dilations, H, W) of the finest joined feature.
    """

    def __init__(self, config: JPUConfig, features: Sequence[FeatureSpec], align_corners: bool = False) -> None:
        super().__init__()
        if config.levels > len(features):
            text = f"must be at most {len(features)}, the backbone's number of features (got {config.levels})"
            raise ConfigError([Problem("head.neck.levels", text)])
        joined = features[-config.levels :]
        self.align_corners = align_corners
        self.narrow = nn.ModuleList(ConvNormAct(spec.channels, config.channels, 3) for spec in joined)
        self.branches = nn.ModuleList(
            _branch(len(joined) * config.channels, config.channels, d) for d in config.dilations
        )
        width = len(config.dilations) * config.channels
        self.features = (*features[:-1], FeatureSpec(width, joined[0].stride))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        narrow = [convolve(x) for convolve, x in zip(self.narrow, features[-len(self.narrow) :], strict=True)]
        joined = join_like_first(narrow, align_corners=self.align_corners)
        return [*features[:-1], torch.cat([branch(joined) for branch in self.branches], dim=1)]


def _branch(in_channels: int, channels: int, dilation: int) -> nn.Sequential:
    """A depthwise separable convolution that is activated at its end alone."""
    across_cells = ConvNormAct(in_channels, in_channels, 3, dilation=dilation, groups=in_channels, act=False)
    return nn.Sequential(across_cells, ConvNormAct(in_channels, channels, 1))
