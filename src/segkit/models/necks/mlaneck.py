"""SETR's multi-level aggregation (Zheng et al., 2021, arXiv:2012.15840)."""

from collections.abc import Sequence
from itertools import accumulate

from torch import Tensor, nn

from segkit.config.heads import MLANeckConfig
from segkit.layers.conv import ConvNormAct
from segkit.layers.norm import LayerNorm2d
from segkit.models.necks.base import Neck
from segkit.registry import NECKS
from segkit.types import FeatureSpec


@NECKS.register(MLANeckConfig)
class MLANeck(Neck):
    """Normalises and narrows equal-sized features, sums them from the deepest on, and smooths the sums.

    Args:
        config: the options.
        features: what the backbone returns; all are read, and are of one size.
        align_corners: of no effect, as nothing is resized.

    Shape:
        - Input: one (N, C_i, H, W) for each of ``features``.
        - Output: as many (N, channels, H, W): the deepest alone, then with each further one added.
    """

    def __init__(self, config: MLANeckConfig, features: Sequence[FeatureSpec], align_corners: bool = False) -> None:
        super().__init__()
        self.norms = nn.ModuleList(LayerNorm2d(spec.channels, config.norm_eps) for spec in features)
        self.project = nn.ModuleList(ConvNormAct(spec.channels, config.channels, 1) for spec in features)
        self.smooth = nn.ModuleList(ConvNormAct(config.channels, config.channels, 3) for _ in features)
        self.features = tuple(FeatureSpec(config.channels, spec.stride) for spec in reversed(features))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        normed = [norm(x) for norm, x in zip(self.norms, features, strict=True)]
        narrow = [project(x) for project, x in zip(self.project, normed, strict=True)]
        return [smooth(x) for smooth, x in zip(self.smooth, accumulate(reversed(narrow)), strict=True)]
