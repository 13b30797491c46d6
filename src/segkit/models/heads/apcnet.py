"""APCNet's head (He et al., 2019, Adaptive Pyramid Context Network for Semantic Segmentation)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import APCNetConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.models.heads.base import Head
from segkit.ops.pooling import grid_means
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class AdaptiveContext(nn.Module):
    """Each position's own mean over the regions of a grid: (N, in_channels, H, W) -> (N, channels, H, W).

    Args:
        in_channels: channels in.
        channels: channels out.
        scale: side of the grid.
    """

    def __init__(self, in_channels: int, channels: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.pooled = ConvNormAct(in_channels, channels, 1)
        self.reduce = ConvNormAct(in_channels, channels, 1)
        self.whole = ConvNormAct(channels, channels, 1)
        self.affinity = nn.Conv2d(channels, scale**2, 1)
        self.residual = ConvNormAct(channels, channels, 1)
        self.fuse = ConvNormAct(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        regions = self.pooled(grid_means(x, self.scale)).flatten(2)  # (N, C, s * s)
        x = self.reduce(x)
        weights = self.affinity(x + self.whole(grid_means(x, 1))).sigmoid().flatten(2)  # (N, s * s, L)
        context = (regions @ weights).view_as(x)
        return self.fuse(F.relu(self.residual(context) + x))


@HEADS.register(APCNetConfig)
class APCNet(Head):
    """Weighs the regions of several grids for each position of the deepest feature.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: APCNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width, channels, scales = features[-1].channels, config.channels, config.pool_scales
        self.contexts = nn.ModuleList(AdaptiveContext(width, channels, scale) for scale in scales)
        self.fuse = ConvNormAct(width + channels * len(scales), channels, 3)
        self.classify = Classifier(channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = features[-1]
        return self.classify(self.fuse(torch.cat([x, *(context(x) for context in self.contexts)], dim=1)))
