"""ICNet's image cascade (Zhao et al., 2018, arXiv:1704.08545)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import ICNeckConfig
from segkit.errors import ConfigError, Problem
from segkit.layers.conv import ConvNormAct
from segkit.layers.pyramid import PyramidPooling
from segkit.models.necks.base import Neck
from segkit.ops.resize import halve, resize_like
from segkit.registry import NECKS
from segkit.types import FeatureSpec

_STRIDE = 8
"""Of the feature that the middle branch takes, in pixels of the halved image."""


class CascadeFusion(nn.Module):
    """Adds a coarse feature to a finer one.

    Args:
        low_channels: of the coarse feature.
        high_channels: of the finer one.
        channels: of what comes out.

    Shape:
        - Input: (N, low_channels, h, w) and (N, high_channels, H, W).
        - Output: (N, channels, H, W), twice: the sum, and the coarse part alone, for an auxiliary head.
    """

    def __init__(self, low_channels: int, high_channels: int, channels: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.low = ConvNormAct(low_channels, channels, 3, dilation=2)
        self.high = ConvNormAct(high_channels, channels, 1)

    def forward(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        coarse = self.low(resize_like(low, high, align_corners=self.align_corners))
        return F.relu(coarse + self.high(high)), coarse


@NECKS.register(ICNeckConfig)
class ICNeck(Neck):
    """Three branches: the full image through three convolutions, its half, and a quarter through the backbone.

    Args:
        config: the options.
        features: what the backbone returns; the first one of stride 8 and the last are read.
        align_corners: how resized images and features line up.

    Raises:
        ConfigError: if no feature but the last has a stride of 8.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``, after (N, c, H / 8, W / 8) of the full image.
        - Output: coarse and middle feature for auxiliary heads, then the one for the main head; at the sizes of the
          middle, the full and the full branch.
    """

    def __init__(self, config: ICNeckConfig, features: Sequence[FeatureSpec], align_corners: bool = False) -> None:
        super().__init__()
        levels = [i for i, spec in enumerate(features[:-1]) if spec.stride == _STRIDE]
        if not levels:
            strides = [spec.stride for spec in features]
            text = f"needs a feature of stride {_STRIDE} before the last; the strides are {strides}"
            raise ConfigError([Problem("head.neck", text)])
        self.level = levels[0]
        self.align_corners = align_corners
        full, half, quarter = config.branch_channels
        self.light = nn.Sequential(
            ConvNormAct(config.in_channels or 3, config.light_channels, 3, stride=2),
            ConvNormAct(config.light_channels, config.light_channels, 3, stride=2),
            ConvNormAct(config.light_channels, full, 3, stride=2),
        )
        self.middle = ConvNormAct(features[self.level].channels, half, 1)
        deepest = features[-1].channels
        self.pool = PyramidPooling(deepest, config.pool_channels, config.pool_scales, align_corners=align_corners)
        self.fuse_pooled = ConvNormAct(self.pool.out_channels, config.pool_channels, 3)
        self.deep = ConvNormAct(config.pool_channels, quarter, 1)
        self.join_deep = CascadeFusion(quarter, half, config.channels, align_corners)
        self.join_middle = CascadeFusion(config.channels, full, config.channels, align_corners)
        self.features = tuple(FeatureSpec(config.channels, stride) for stride in (2 * _STRIDE, _STRIDE, _STRIDE))

    def prepare(self, backbone: Any) -> None:
        halve_deep_stages: Callable[[bool], None] | None = getattr(backbone, "halve_deep_stages", None)
        if halve_deep_stages is None:
            raise ConfigError([Problem("backbone", f"{type(backbone).__name__} has no image cascade; use a ResNet")])
        halve_deep_stages(self.align_corners)

    def run(self, backbone: nn.Module, images: Tensor) -> list[Tensor]:
        features = backbone(halve(images, align_corners=self.align_corners))
        return self([self.light(images), *features])

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        light, *others = features
        deep = self.deep(self.fuse_pooled(self.pool(others[-1])))
        joined, coarse = self.join_deep(deep, self.middle(others[self.level]))
        joined, middle = self.join_middle(joined, light)
        return [coarse, middle, joined]
