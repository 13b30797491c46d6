"""DMNet's head (He et al., 2019, Dynamic Multi-scale Filters for Semantic Segmentation)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import DMNetConfig
from segkit.layers.act import build_act
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.norm import build_norm
from segkit.models.heads.base import Head
from segkit.ops.pooling import grid_means
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class DynamicConv(nn.Module):
    """Convolves each channel with a filter made from the image: (N, in_channels, H, W) -> (N, channels, H, W).

    Args:
        in_channels: channels in.
        channels: channels out.
        size: side of the filters.
        fusion: whether a 1x1 convolution follows.
    """

    def __init__(self, in_channels: int, channels: int, size: int, *, fusion: bool) -> None:
        super().__init__()
        self.size = size
        self.filters = nn.Conv2d(in_channels, channels, 1)
        self.reduce = ConvNormAct(in_channels, channels, 1)
        self.norm = build_norm(channels)
        self.act = build_act(channels)
        self.fuse = ConvNormAct(channels, channels, 1) if fusion else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        filters = self.filters(grid_means(x, self.size))  # (N, C, size, size)
        x = self.reduce(x)
        before, after = self.size // 2, (self.size - 1) // 2  # an even filter reaches further up and left
        framed = F.pad(x, (before, after, before, after))
        every = framed.flatten(0, 1).unsqueeze(0)  # (1, N * C, ...): a group for each channel of each image
        out = F.conv2d(every, filters.flatten(0, 1).unsqueeze(1), groups=every.shape[1])
        return self.fuse(self.act(self.norm(out.view_as(x))))


@HEADS.register(DMNetConfig)
class DMNet(Head):
    """Convolves the deepest feature with filters of several sizes, made from it.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: DMNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width, channels, sizes = features[-1].channels, config.channels, config.filter_sizes
        self.contexts = nn.ModuleList(DynamicConv(width, channels, size, fusion=config.fusion) for size in sizes)
        self.fuse = ConvNormAct(width + channels * len(sizes), channels, 3)
        self.classify = Classifier(channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = features[-1]
        return self.classify(self.fuse(torch.cat([x, *(context(x) for context in self.contexts)], dim=1)))
