"""Panoptic feature pyramid's semantic head (Kirillov et al., 2019, arXiv:1901.02446)."""

from collections.abc import Sequence

from torch import Tensor

from segkit.config.heads import SemanticFPNConfig
from segkit.layers.classifier import Classifier
from segkit.layers.fpn import FeaturePyramid, StepwiseSum, stepwise_strides
from segkit.models.heads.base import Head
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(SemanticFPNConfig)
class SemanticFPN(Head):
    """A feature pyramid whose levels are enlarged in steps, summed and classified.

    Args:
        config: the options.
        features: what the backbone returns, finest first; all are read.
        num_classes: K, the number of logits.

    Raises:
        ConfigError: if there is not one stride for each feature, or one is no power of 2 times the first.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_0, W_0).
    """

    def __init__(self, config: SemanticFPNConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        strides = stepwise_strides(config.strides, features)
        channels = [spec.channels for spec in features]
        corners = config.align_corners
        self.pyramid = FeaturePyramid(channels, config.channels, mode=config.upsample, align_corners=corners)
        self.sum = StepwiseSum(config.channels, config.scale_head_channels, strides, align_corners=corners)
        self.classify = Classifier(config.scale_head_channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.classify(self.sum(self.pyramid(features)))
