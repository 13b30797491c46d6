"""A pyramid out of the equal-sized features of a plain vision transformer (Bao et al., 2021, arXiv:2106.08254)."""

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.config.heads import Feature2PyramidConfig
from segkit.errors import ConfigError, Problem
from segkit.layers.norm import build_norm
from segkit.models.necks.base import Neck
from segkit.registry import NECKS
from segkit.types import FeatureSpec


@NECKS.register(Feature2PyramidConfig)
class Feature2Pyramid(Neck):
    """Enlarges each feature by transposed convolutions, or shrinks it by maxima.

    Args:
        config: the options.
        features: what the backbone returns; as many as ``config.rescales``.
        align_corners: of no effect, as nothing is resized.

    Attributes:
        features: what comes out, finest first.

    Raises:
        ConfigError: if the backbone returns another number of features.

    Shape:
        - Input: one (N, C, H, W) for each factor.
        - Output: one (N, C, factor * H, factor * W) for each.
    """

    def __init__(
        self, config: Feature2PyramidConfig, features: Sequence[FeatureSpec], align_corners: bool = False
    ) -> None:
        super().__init__()
        if len(config.rescales) != len(features):
            text = f"needs a factor for each of the backbone's {len(features)} features (got {len(config.rescales)})"
            raise ConfigError([Problem("head.neck.rescales", text)])
        pairs = list(zip(features, config.rescales, strict=True))
        self.features = tuple(FeatureSpec(spec.channels, round(spec.stride / factor)) for spec, factor in pairs)
        self.levels = nn.ModuleList(_rescale(spec.channels, factor) for spec, factor in pairs)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [level(x) for level, x in zip(self.levels, features, strict=True)]


def _rescale(channels: int, factor: float) -> nn.Module:
    if factor < 1:
        return nn.MaxPool2d(round(1 / factor))
    if factor == 1:
        return nn.Identity()
    double = nn.ConvTranspose2d(channels, channels, 2, stride=2)
    if factor == 2:
        return nn.Sequential(double)
    again = nn.ConvTranspose2d(channels, channels, 2, stride=2)
    return nn.Sequential(double, build_norm(channels), nn.GELU(), again)
