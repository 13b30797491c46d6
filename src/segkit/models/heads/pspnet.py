"""PSPNet's pyramid pooling head (Zhao et al., 2017, arXiv:1612.01105)."""

from collections.abc import Sequence

from torch import Tensor

from segkit.config.heads import PSPNetConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.pyramid import PyramidPooling
from segkit.models.heads.base import Head
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(PSPNetConfig)
class PSPNet(Head):
    """Pools the deepest feature over several grids, fuses them, and classifies each cell.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: PSPNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width = features[-1].channels
        self.pool = PyramidPooling(width, config.channels, config.pool_scales, align_corners=config.align_corners)
        self.fuse = ConvNormAct(self.pool.out_channels, config.channels, 3)
        self.classify = Classifier(config.channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.classify(self.fuse(self.pool(features[-1])))
