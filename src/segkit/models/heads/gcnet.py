"""GCNet's head (Cao et al., 2019, arXiv:1904.11492)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import GCNetConfig
from segkit.layers.act import build_act
from segkit.layers.classifier import ConvClassifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.norm import build_norm
from segkit.models.heads.base import Head
from segkit.ops.pooling import grid_means
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class GlobalContext(nn.Module):
    """Changes all cells of a map by one vector, made of a mean over them: (N, C, H, W) -> the same.

    Args:
        config: the options.
        channels: C.
    """

    def __init__(self, config: GCNetConfig, channels: int) -> None:
        super().__init__()
        self.mask = nn.Conv2d(channels, 1, 1) if config.pooling == "att" else None
        self.add = _bottleneck(config, channels) if "channel_add" in config.fusions else None
        self.mul = _bottleneck(config, channels) if "channel_mul" in config.fusions else None

    def forward(self, x: Tensor) -> Tensor:
        context = self.pool(x)
        changed = x if self.mul is None else x * self.mul(context).sigmoid()
        return changed if self.add is None else changed + self.add(context)

    def pool(self, x: Tensor) -> Tensor:
        """(N, C, 1, 1)."""
        if self.mask is None:
            return grid_means(x, 1)
        shares = self.mask(x).flatten(2).softmax(dim=2)  # (N, 1, cells)
        return (x.flatten(2) @ shares.transpose(1, 2)).unsqueeze(3)


def _bottleneck(config: GCNetConfig, channels: int) -> nn.Sequential:
    width = max(int(channels * config.ratio), 1)
    norm = nn.LayerNorm((width, 1, 1)) if config.block_norm == "LayerNorm" else build_norm(width)
    return nn.Sequential(nn.Conv2d(channels, width, 1), norm, build_act(width), nn.Conv2d(width, channels, 1))


@HEADS.register(GCNetConfig)
class GCNet(Head):
    """Adds one context vector of the image to all cells of the deepest feature.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: GCNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        in_channels, width = features[-1].channels, config.channels
        self.before = ConvNormAct(in_channels, width, 3)
        self.block = GlobalContext(config, width)
        self.after = ConvNormAct(width, width, 3)
        self.classify = ConvClassifier(in_channels + width, width, num_classes, config.dropout, kernel_size=3)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = features[-1]
        return self.classify(torch.cat([x, self.after(self.block(self.before(x)))], dim=1))
