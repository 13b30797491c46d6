"""Deeplabv3's head (Chen et al., 2017, arXiv:1706.05587)."""

from collections.abc import Sequence

from torch import Tensor

from segkit.config.heads import Deeplabv3Config
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.pyramid import ASPP
from segkit.models.heads.base import Head
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(Deeplabv3Config)
class Deeplabv3(Head):
    """Convolves the deepest feature with several dilations, fuses the results, and classifies each cell.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: Deeplabv3Config, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        self.aspp = ASPP(features[-1].channels, config.channels, config.dilations)
        self.fuse = ConvNormAct(self.aspp.out_channels, config.channels, 3)
        self.classify = Classifier(config.channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.classify(self.fuse(self.aspp(features[-1])))
