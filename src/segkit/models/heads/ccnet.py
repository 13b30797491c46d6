"""CCNet's head (Huang et al., 2019, arXiv:1811.11721)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import CCNetConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.models.heads.base import Head
from segkit.ops.criss_cross import criss_cross_attention
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class CrissCrossAttention(nn.Module):
    """Adds to each position what its row and its column hold: (N, C, H, W) -> the same.

    Args:
        channels: C, at least 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.scale = nn.Parameter(torch.zeros(()))  # starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * criss_cross_attention(self.query(x), self.key(x), self.value(x)) + x


@HEADS.register(CCNetConfig)
class CCNet(Head):
    """Criss-cross attention on the deepest feature, several times with the same weights.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: CCNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width, channels = features[-1].channels, config.channels
        self.num_recurrence = config.num_recurrence
        self.before = ConvNormAct(width, channels, 3)
        self.attend = CrissCrossAttention(channels)
        self.after = ConvNormAct(channels, channels, 3)
        self.fuse = ConvNormAct(width + channels, channels, 3)
        self.classify = Classifier(channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = self.before(features[-1])
        for _ in range(self.num_recurrence):
            x = self.attend(x)
        return self.classify(self.fuse(torch.cat([features[-1], self.after(x)], dim=1)))
