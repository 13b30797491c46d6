"""Deeplabv3+'s head (Chen et al., 2018, arXiv:1802.02611)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import Deeplabv3PlusConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct, DepthwiseSeparableConv
from segkit.layers.pyramid import ASPP
from segkit.models.heads.base import Head
from segkit.ops.resize import resize_like
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(Deeplabv3PlusConfig)
class Deeplabv3Plus(Head):
    """Separable ASPP on the deepest feature, refined with the finest one.

    Args:
        config: the options.
        features: what the backbone returns, finest first; the first and the last are read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_0, W_0).
    """

    def __init__(self, config: Deeplabv3PlusConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        self.aspp = ASPP(features[-1].channels, config.channels, config.dilations, separable=True)
        self.fuse = ConvNormAct(self.aspp.out_channels, config.channels, 3)
        self.shortcut = ConvNormAct(features[0].channels, config.shortcut_channels, 1)
        self.refine = nn.Sequential(
            DepthwiseSeparableConv(config.channels + config.shortcut_channels, config.channels, 3),
            DepthwiseSeparableConv(config.channels, config.channels, 3),
        )
        self.classify = Classifier(config.channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        shortcut = self.shortcut(features[0])
        context = self.fuse(self.aspp(features[-1]))
        context = resize_like(context, shortcut, align_corners=self.align_corners)
        return self.classify(self.refine(torch.cat([context, shortcut], dim=1)))
