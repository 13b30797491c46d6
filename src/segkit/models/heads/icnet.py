"""ICNet's head (Zhao et al., 2018, arXiv:1704.08545); the cascade is its neck."""

from collections.abc import Sequence

from torch import Tensor

from segkit.config.heads import ICNetConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.models.heads.base import Head
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(ICNetConfig)
class ICNet(Head):
    """Convolves the cascade's last feature and classifies each cell.

    Args:
        config: the options.
        features: what the neck returns; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: ICNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width = features[-1].channels
        self.fuse = ConvNormAct(width, width, 3)
        self.classify = Classifier(width, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.classify(self.fuse(features[-1]))
