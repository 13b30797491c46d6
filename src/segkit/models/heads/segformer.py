"""SegFormer's all-MLP head (Xie et al., 2021, arXiv:2105.15203)."""

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.config.heads import SegformerConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.models.heads.base import Head
from segkit.ops.resize import join_like_first
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(SegformerConfig)
class Segformer(Head):
    """Brings all features to one width and size, fuses them by a 1x1 convolution, and classifies each cell.

    Args:
        config: the options.
        features: what the backbone returns, finest first; all are read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_0, W_0).
    """

    def __init__(self, config: SegformerConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        self.project = nn.ModuleList(ConvNormAct(spec.channels, config.channels, 1) for spec in features)
        self.fuse = ConvNormAct(config.channels * len(features), config.channels, 1)
        self.classify = Classifier(config.channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        projected = [project(x) for project, x in zip(self.project, features, strict=True)]
        return self.classify(self.fuse(join_like_first(projected, align_corners=self.align_corners)))
