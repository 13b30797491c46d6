"""DANet's head: attention over positions and over channels (Fu et al., 2019, arXiv:1809.02983)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import DANetConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.relation import Relation
from segkit.models.heads.base import Head
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class PositionAttention(nn.Module):
    """Adds to each cell a mean over the cells like it, at first none of it: (N, C, H, W) -> the same."""

    def __init__(self, channels: int, attention_channels: int) -> None:
        super().__init__()
        self.relate = Relation(
            channels,
            channels,
            attention_channels,
            channels,
            num_convs=1,
            norm=False,
            value_norm=False,
            scaled=False,
            project=False,
        )
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * self.relate(x, x) + x


class ChannelAttention(nn.Module):
    """Adds to each channel a mean over the channels unlike it, at first none of it: (N, C, H, W) -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)  # (N, C, cells)
        likeness = flat @ flat.transpose(1, 2)
        shares = (likeness.amax(dim=2, keepdim=True) - likeness).softmax(dim=2)
        return self.gamma * (shares.to(flat.dtype) @ flat).view_as(x) + x


@HEADS.register(DANetConfig)
class DANet(Head):
    """Sums two branches of the deepest feature, in which positions and channels attend to each other.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last); ``outputs`` adds logits of each branch alone, ``pam`` and ``cam``.
    """

    def __init__(self, config: DANetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        in_channels, width = features[-1].channels, config.channels
        self.positions = _branch(in_channels, width, PositionAttention(width, config.attention_channels))
        self.channels = _branch(in_channels, width, ChannelAttention())
        self.classify = Classifier(width, num_classes, config.dropout)
        self.classify_positions = Classifier(width, num_classes, config.dropout)
        self.classify_channels = Classifier(width, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.classify(self.positions(features[-1]) + self.channels(features[-1]))

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        positions, channels = self.positions(features[-1]), self.channels(features[-1])
        return {
            "main": self.classify(positions + channels),
            "pam": self.classify_positions(positions),
            "cam": self.classify_channels(channels),
        }


def _branch(in_channels: int, channels: int, attention: nn.Module) -> nn.Sequential:
    return nn.Sequential(ConvNormAct(in_channels, channels, 3), attention, ConvNormAct(channels, channels, 3))
