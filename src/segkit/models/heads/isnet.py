"""ISNet's head: image-level and semantic-level context (Jin et al., 2021, arXiv:2108.12382)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import ISNetConfig
from segkit.layers.classifier import Classifier, ConvClassifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.relation import Relation
from segkit.models.heads.base import Head
from segkit.ops.classes import class_vectors, spread
from segkit.ops.pooling import grid_means
from segkit.ops.resize import resize_like
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class ImageLevel(nn.Module):
    """Each cell attends to cells that know the image's mean: (N, C, H, W) -> the same."""

    def __init__(self, channels: int, attention_channels: int) -> None:
        super().__init__()
        self.relate = Relation(channels, 2 * channels, attention_channels, channels)
        self.fuse = ConvNormAct(2 * channels, channels, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        image = grid_means(pixels, 1).expand_as(pixels)
        context = self.relate(pixels, torch.cat([image, pixels], dim=1))
        return self.fuse(torch.cat([pixels, context], dim=1))


@HEADS.register(ISNetConfig)
class ISNet(Head):
    """Adds what each cell learns from the image, and from the cells that coarse logits give the same class.

    Args:
        config: the options.
        features: what the backbone returns, finest first; the last is read, and the first for the shortcut.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last), with the shortcut (N, K, H_0, W_0); ``outputs`` adds the coarse
          logits, ``stage1``.
    """

    def __init__(self, config: ISNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width = config.channels
        self.reduce = ConvNormAct(features[-1].channels, width, 3)
        self.coarse = ConvClassifier(width, width, num_classes, config.dropout)
        self.relate_classes = Relation(width, width, config.attention_channels, width)
        self.image_level: nn.Module | None = None
        self.fuse_classes: nn.Module = nn.Identity()
        if config.concat_input:
            self.image_level = ImageLevel(width, config.attention_channels)
            self.fuse_classes = ConvNormAct(2 * width, width, 3)
        self.shortcut: nn.Module | None = None
        self.classify: nn.Module
        if config.use_shortcut:
            self.shortcut = ConvNormAct(features[0].channels, config.shortcut_channels, 1, bias=True)
            self.classify = ConvClassifier(width + config.shortcut_channels, width, num_classes, config.dropout)
        else:
            self.classify = Classifier(width, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.outputs(features)["main"]

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        pixels = self.reduce(features[-1])
        coarse = self.coarse(pixels)
        vectors, labels = class_vectors(pixels, coarse)
        x = self.relate_classes(pixels, spread(vectors, labels))
        if self.image_level is not None:
            x = self.fuse_classes(torch.cat([self.image_level(pixels), x], dim=1))
        if self.shortcut is not None:
            shortcut = self.shortcut(features[0])
            x = torch.cat([resize_like(x, shortcut, align_corners=self.align_corners), shortcut], dim=1)
        return {"main": self.classify(x), "stage1": coarse}
