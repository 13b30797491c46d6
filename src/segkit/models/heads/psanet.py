"""PSANet's head (Zhao et al., 2018, Point-wise Spatial Attention Network for Scene Parsing)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import PSANetConfig
from segkit.errors import ConfigError, Problem
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.models.heads.base import Head
from segkit.ops.point_masks import place_masks
from segkit.ops.resize import resize_branchless
from segkit.ops.sizes import int_max, int_min
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class PointwiseAttention(nn.Module):
    """Exchanges between positions by masks that each predicts: (N, in_channels, H, W) -> (N, channels, h, w).

    Args:
        in_channels: channels in.
        config: the options.
        collect: whether a position's mask says what it takes from others, or what it gives to them.
    """

    def __init__(self, in_channels: int, config: PSANetConfig, *, collect: bool) -> None:
        super().__init__()
        self.config = config
        self.collect = collect
        cells = config.mask_size[0] * config.mask_size[1]
        self.divisor = cells if config.normalization_factor is None else config.normalization_factor
        self.reduce = ConvNormAct(in_channels, config.channels, 1)
        self.mask = nn.Sequential(
            ConvNormAct(config.channels, config.channels, 1), nn.Conv2d(config.channels, cells, 1, bias=False)
        )

    def forward(self, x: Tensor, size: tuple[int, int], aligned: int) -> Tensor:
        x = self.reduce(x)
        if self.config.shrink_factor != 1:
            x = resize_branchless(x, size, aligned)
        weights = self._weights(self.mask(x))  # (N, L, L): [n, p, q] is what q takes from p
        if self.config.psa_softmax:
            weights = weights.softmax(dim=1).to(x.dtype)
        return (x.flatten(2) @ weights).view_as(x) / self.divisor

    def _weights(self, masks: Tensor) -> Tensor:
        if not self.config.compact:
            placed = place_masks(masks, self.config.mask_size)
            return placed if self.collect else placed.transpose(1, 2)
        flat = masks.flatten(2)
        if flat.shape[1] != flat.shape[2]:
            text = f"a compact mask must have as many cells as the shrunken map, which is {list(masks.shape[-2:])}"
            raise ConfigError([Problem("head.mask_size", f"{text} (got {list(self.config.mask_size)})")])
        # Which branch is transposed depends on whether there are two, as in the reference; weights are learned for it.
        single = self.config.direction != "bi-direction"
        return flat.transpose(1, 2) if single == self.collect else flat


@HEADS.register(PSANetConfig)
class PSANet(Head):
    """Lets the positions of the deepest feature collect from, and distribute to, each other.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).

    Raises:
        ConfigError: in ``forward``, if masks are compact and not of the map's size.
    """

    def __init__(self, config: PSANetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width, channels = features[-1].channels, config.channels
        self.shrink_factor = config.shrink_factor
        ways = {"bi-direction": (True, False), "collect": (True,), "distribute": (False,)}[config.direction]
        self.branches = nn.ModuleList(PointwiseAttention(width, config, collect=collect) for collect in ways)
        self.project = ConvNormAct(channels * len(ways), width, 1)
        self.fuse = ConvNormAct(2 * width, channels, 3)
        self.classify = Classifier(channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = features[-1]
        size, aligned = self._shrunken(x)
        attended = torch.cat([branch(x, size, aligned) for branch in self.branches], dim=1)
        framed = self.project(F.pad(attended, (1, 1, 1, 1)))  # the reference's 1x1 convolution pads its map
        back = resize_branchless(framed, (x.shape[2], x.shape[3]), aligned)
        return self.classify(self.fuse(torch.cat([x, back], dim=1)))

    def _shrunken(self, x: Tensor) -> tuple[tuple[int, int], int]:
        """Size of the attention's map, and whether the corners line up between it and the feature."""
        (height, width), factor = x.shape[-2:], self.shrink_factor
        if factor == 1:
            return (height, width), int(self.align_corners)
        # If neither side divides, as 97 = 8 * 12 + 1, both ends have a cell of their own.
        aligned = int_min(height % factor, 1) * int_min(width % factor, 1)
        return (int_max(height // factor + aligned, 1), int_max(width // factor + aligned, 1)), aligned
