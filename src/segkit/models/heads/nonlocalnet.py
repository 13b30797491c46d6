"""NonLocalNet's head (Wang et al., 2018, arXiv:1711.07971)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segkit.config.heads import NonLocalNetConfig
from segkit.layers.classifier import ConvClassifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.nonlocal_block import NonLocalBlock
from segkit.models.heads.base import Head
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(NonLocalNetConfig)
class NonLocalNet(Head):
    """Lets each cell of the deepest feature see all others, and classifies it beside the feature itself.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: NonLocalNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        in_channels, width = features[-1].channels, config.channels
        self.before = ConvNormAct(in_channels, width, 3)
        self.block = NonLocalBlock(width, config.reduction, config.mode, scaled=config.use_scale)
        self.after = ConvNormAct(width, width, 3)
        self.classify = ConvClassifier(in_channels + width, width, num_classes, config.dropout, kernel_size=3)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = features[-1]
        return self.classify(torch.cat([x, self.after(self.block(self.before(x)))], dim=1))
