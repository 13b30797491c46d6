"""OCRNet's head: object-contextual representations (Yuan et al., 2020, arXiv:1909.11065)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import OCRNetConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.relation import Relation
from segkit.models.heads.base import Head
from segkit.ops.resize import resize_like
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(OCRNetConfig)
class OCRNet(Head):
    """Coarse logits gather one vector a class from the image; each cell attends to those vectors.

    Args:
        config: the options.
        features: what the backbone returns, finest first; the last is read, and the one before for coarse logits.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last); ``outputs`` adds the coarse logits as ``aux``.
    """

    def __init__(self, config: OCRNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width = config.channels
        self.coarse_level = max(len(features) - 2, 0)
        widths = [features[self.coarse_level].channels, *[config.coarse_channels] * config.coarse_convs]
        self.coarse = nn.Sequential(
            *(ConvNormAct(widths[i], widths[i + 1], 3) for i in range(config.coarse_convs)),
            Classifier(widths[-1], num_classes, config.coarse_dropout),
        )
        self.reduce = ConvNormAct(features[-1].channels, width, 3)
        self.relate = Relation(width, width, config.attention_channels, width)
        self.fuse = ConvNormAct(2 * width, width, 3)
        self.classify = Classifier(width, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.outputs(features)["main"]

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        coarse = self.coarse(features[self.coarse_level])
        pixels = self.reduce(features[-1])
        at_pixels = resize_like(coarse, pixels, align_corners=self.align_corners)
        shares = at_pixels.flatten(2).softmax(dim=2)  # (N, K, H * W): over the image, for each class
        regions = shares @ pixels.flatten(2).transpose(1, 2)  # (N, K, C)
        context = self.relate(pixels, regions.transpose(1, 2).unsqueeze(3))
        return {"main": self.classify(self.fuse(torch.cat([context, pixels], dim=1))), "aux": coarse}
