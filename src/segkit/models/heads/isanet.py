"""ISANet's head (Huang et al., 2019, arXiv:1907.12273)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import ISANetConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.relation import Relation
from segkit.models.heads.base import Head
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class SelfAttention(nn.Module):
    """Attention of a map to itself: (N, C, H, W) -> the same.

    Args:
        channels: C.
        attention_channels: width of queries and keys.
    """

    def __init__(self, channels: int, attention_channels: int) -> None:
        super().__init__()
        self.relate = Relation(channels, channels, attention_channels, channels, value_norm=False, project=False)
        self.out = ConvNormAct(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.relate(x, x))


@HEADS.register(ISANetConfig)
class ISANet(Head):
    """Attention among cells at the same place of all blocks, then among the cells of a block.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: ISANetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        channels = config.channels
        self.block = config.down_factor
        self.before = ConvNormAct(features[-1].channels, channels, 3)
        self.attend_far = SelfAttention(channels, config.attention_channels)
        self.attend_near = SelfAttention(channels, config.attention_channels)
        self.fuse = ConvNormAct(2 * channels, channels, 3)
        self.classify = Classifier(channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = self.before(features[-1])
        return self.classify(self.fuse(torch.cat([self._attend(x), x], dim=1)))

    def _attend(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        block_height, block_width = self.block
        # Rounded up without negative numbers, whose division ONNX rounds the other way.
        rows, columns = (height + block_height - 1) // block_height, (width + block_width - 1) // block_width
        below, right = rows * block_height - height, columns * block_width - width
        top, left = below // 2, right // 2
        framed = F.pad(x, (left, right - left, top, below - top))
        blocks = framed.unflatten(3, (columns, block_width)).unflatten(2, (rows, block_height))  # (N, C, r, h, c, w)
        far = blocks.permute(0, 3, 5, 1, 2, 4)  # (N, h, w, C, r, c)
        far = self.attend_far(far.flatten(0, 2)).view_as(far)
        near = far.permute(0, 4, 5, 3, 1, 2)  # (N, r, c, C, h, w)
        near = self.attend_near(near.flatten(0, 2)).view_as(near)
        whole = near.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
        return whole[:, :, top : top + height, left : left + width]
