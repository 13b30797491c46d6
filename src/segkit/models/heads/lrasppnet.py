"""The light head of MobileNetV3 (Howard et al., 2019, arXiv:1905.02244)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import LRASPPNetConfig
from segkit.errors import ConfigError, Problem
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.models.heads.base import Head
from segkit.ops.pooling import grid_means, window_means
from segkit.ops.resize import resize_like
from segkit.registry import HEADS
from segkit.types import FeatureSpec

_STRIDE = (16, 20)
"""(vertical, horizontal) step of the pooling window, as the paper has it for 1024 x 2048 images."""


@HEADS.register(LRASPPNetConfig)
class LRASPPNet(Head):
    """Gates the deepest feature by its pooled self, then adds finer features step by step.

    Args:
        config: the options.
        features: what the backbone returns, finest first; the last and, for each of ``config.branch_channels``, one
            from the first on are read.
        num_classes: K, the number of logits.

    Raises:
        ConfigError: if the backbone returns too few features.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_0, W_0).
    """

    def __init__(self, config: LRASPPNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        if len(config.branch_channels) >= len(features):
            text = f"at most {len(features) - 1}, as the backbone returns {len(features)} features"
            raise ConfigError([Problem("head.branch_channels", f"{text} (got {len(config.branch_channels)})")])
        width, top = config.channels, features[-1].channels
        self.pool_size = config.pool_size
        self.project = ConvNormAct(top, width, 1)
        self.gate = ConvNormAct(top, width, 1, act=False)
        self.bottleneck = nn.Conv2d(width, width, 1, bias=False)
        self.shortcuts = nn.ModuleList(
            nn.Conv2d(spec.channels, branch, 1, bias=False)
            for spec, branch in zip(features, config.branch_channels, strict=False)
        )
        self.fuse = nn.ModuleList(ConvNormAct(width + branch, width, 1) for branch in config.branch_channels)
        self.classify = Classifier(width, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        top = features[-1]
        x = self.project(top)
        gate = self.gate(self._pool(top)).sigmoid()
        x = self.bottleneck(x * resize_like(gate, x, align_corners=self.align_corners))
        steps = list(zip(features, self.shortcuts, self.fuse, strict=False))
        for feature, shortcut, fuse in reversed(steps):
            x = resize_like(x, feature, align_corners=self.align_corners)
            x = fuse(torch.cat([x, shortcut(feature)], dim=1))
        return self.classify(x)

    def _pool(self, x: Tensor) -> Tensor:
        return grid_means(x, 1) if self.pool_size is None else window_means(x, self.pool_size, _STRIDE)
