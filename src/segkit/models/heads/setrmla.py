"""SETR's head on aggregated levels (Zheng et al., 2021, arXiv:2012.15840)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import SETRMLAConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.models.heads.base import Head
from segkit.ops.resize import resize
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(SETRMLAConfig)
class SETRMLA(Head):
    """Convolves and enlarges each feature by itself, and classifies them together.

    Args:
        config: the options.
        features: what the neck returns; all are read, and are of one size.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H, W) for each of ``features``.
        - Output: (N, K, scale_factor * H, scale_factor * W), of the first feature's size.
    """

    def __init__(self, config: SETRMLAConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        self.scale_factor = config.scale_factor
        width = config.channels
        self.convs = nn.ModuleList(
            nn.Sequential(ConvNormAct(spec.channels, width, 3), ConvNormAct(width, width, 3)) for spec in features
        )
        self.classify = Classifier(width * len(features), num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        size = (features[0].shape[2] * self.scale_factor, features[0].shape[3] * self.scale_factor)
        levels = [conv(x) for conv, x in zip(self.convs, features, strict=True)]
        return self.classify(torch.cat([resize(x, size, align_corners=self.align_corners) for x in levels], dim=1))
