"""What MCIBI does to the features of other backbones than ResNets (Jin et al., 2021, arXiv:2108.11819)."""

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.config.heads import LevelsNeckConfig
from segkit.errors import ConfigError, Problem
from segkit.layers.conv import ConvNormAct
from segkit.layers.norm import LayerNorm2d
from segkit.models.necks.base import Neck
from segkit.registry import NECKS
from segkit.types import FeatureSpec


@NECKS.register(LevelsNeckConfig)
class LevelsNeck(Neck):
    """Normalises each feature by itself, and shrinks all by one convolution.

    Args:
        config: the options.
        features: what the backbone returns; of one width if ``config.stride`` is above 1.
        align_corners: of no effect, as nothing is resized.

    Raises:
        ConfigError: if one convolution cannot serve all features.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: one (N, C_i, ceil(H_i / stride), ceil(W_i / stride)) for each.
    """

    def __init__(self, config: LevelsNeckConfig, features: Sequence[FeatureSpec], align_corners: bool = False) -> None:
        super().__init__()
        widths = [spec.channels for spec in features]
        self.norms: nn.ModuleList | None = None
        if config.normalize:
            self.norms = nn.ModuleList(LayerNorm2d(width, config.norm_eps) for width in widths)
        self.shrink: nn.Module = nn.Identity()
        if config.stride > 1:
            if len(set(widths)) > 1:
                text = f"above 1, all features must have as many channels as the first (got {widths})"
                raise ConfigError([Problem("head.neck.stride", text)])
            self.shrink = ConvNormAct(widths[0], widths[0], config.kernel_size, stride=config.stride)
        self.features = tuple(FeatureSpec(spec.channels, spec.stride * config.stride) for spec in features)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        if self.norms is not None:
            features = [norm(x) for norm, x in zip(self.norms, features, strict=True)]
        return [self.shrink(x) for x in features]
