"""FCN's head (Long et al., 2015, arXiv:1411.4038), also the usual auxiliary head."""

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.config.heads import FCNConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct, DepthwiseSeparableConv
from segkit.models.heads.base import Head
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(FCNConfig)
class FCN(Head):
    """Convolves the deepest feature and classifies each cell.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: FCNConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        conv = DepthwiseSeparableConv if config.depthwise else ConvNormAct
        widths = [features[-1].channels, *[config.channels] * config.num_convs]
        self.convs = nn.Sequential(*(conv(widths[i], widths[i + 1], 3) for i in range(config.num_convs)))
        self.classify = Classifier(widths[-1], num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.classify(self.convs(features[-1]))
