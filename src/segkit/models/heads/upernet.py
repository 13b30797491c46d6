"""UPerNet's head (Xiao et al., 2018, arXiv:1807.10221)."""

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.config.heads import UPerNetConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.fpn import add_top_down
from segkit.layers.pyramid import PyramidPooling
from segkit.models.heads.base import Head
from segkit.ops.resize import join_like_first
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(UPerNetConfig)
class UPerNet(Head):
    """A feature pyramid with pooled context on top, all of whose levels are fused at the finest one.

    Args:
        config: the options.
        features: what the backbone returns, finest first; all are read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_0, W_0).
    """

    def __init__(self, config: UPerNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        *lower, top = (spec.channels for spec in features)
        width = config.channels
        self.pool = PyramidPooling(top, width, config.pool_scales, align_corners=config.align_corners)
        self.fuse_pooled = ConvNormAct(self.pool.out_channels, width, 3)
        self.laterals = nn.ModuleList(ConvNormAct(channels, width, 1) for channels in lower)
        self.smooth = nn.ModuleList(ConvNormAct(width, width, 3) for _ in lower)
        self.fuse = ConvNormAct(width * len(features), width, 3)
        self.classify = Classifier(width, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        laterals = [lateral(x) for lateral, x in zip(self.laterals, features[:-1], strict=True)]
        top = self.fuse_pooled(self.pool(features[-1]))
        *lower, top = add_top_down([*laterals, top], mode="bilinear", align_corners=self.align_corners)
        levels = [*(smooth(x) for smooth, x in zip(self.smooth, lower, strict=True)), top]
        return self.classify(self.fuse(join_like_first(levels, align_corners=self.align_corners)))
