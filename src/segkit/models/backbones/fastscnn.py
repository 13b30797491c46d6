"""Fast-SCNN (Poudel et al., 2019, arXiv:1902.04502)."""

from torch import Tensor, nn

from segkit.config.backbones import FastSCNNConfig
from segkit.layers.act import build_act
from segkit.layers.conv import ConvNormAct, DepthwiseSeparableConv
from segkit.layers.pyramid import PyramidPooling
from segkit.models.backbones.own import OwnBackbone
from segkit.ops.resize import resize_like
from segkit.registry import BACKBONES
from segkit.types import FeatureSpec

_EXPANSION = 6
_BLOCKS = 3
_POOL_SCALES = (1, 2, 3, 6)


@BACKBONES.register(FastSCNNConfig)
class FastSCNN(OwnBackbone):
    """A shallow stem, global context on top of it, and their fusion.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: maps ``out_indices`` of: the stem at stride 8; the global context, coarser by ``block_strides``; the
          fusion at stride 8.
    """

    def build(self, config: FastSCNNConfig) -> list[FeatureSpec]:
        first, second, third = config.stem_channels
        self.stem = nn.Sequential(
            ConvNormAct(config.image_channels, first, 3, stride=2),
            DepthwiseSeparableConv(first, second, 3, stride=2),
            DepthwiseSeparableConv(second, third, 3, stride=2),
        )
        last = max(self.out_indices)
        if last >= 1:
            self.context = _GlobalContext(config)
        if last >= 2:
            self.fusion = _Fusion(third, config)
        coarse = 8
        for stride in config.block_strides:
            coarse *= stride
        return [FeatureSpec(third, 8), FeatureSpec(config.global_channels, coarse), FeatureSpec(config.channels, 8)]

    def maps(self, images: Tensor) -> list[Tensor]:
        maps = [self.run(self.stem, images)]
        if hasattr(self, "context"):
            maps.append(self.run(self.context, maps[0]))
        if hasattr(self, "fusion"):
            maps.append(self.run(self.fusion, *maps))
        return maps


class _GlobalContext(nn.Module):
    """Inverted residuals and pyramid pooling: (N, C, H, W) -> (N, global_channels, h, w)."""

    def __init__(self, config: FastSCNNConfig) -> None:
        super().__init__()
        width = config.stem_channels[-1]
        groups = []
        for channels, stride in zip(config.block_channels, config.block_strides, strict=True):
            blocks = [_InvertedResidual(width, channels, stride)]
            blocks += [_InvertedResidual(channels, channels, 1) for _ in range(_BLOCKS - 1)]
            groups.append(nn.Sequential(*blocks))
            width = channels
        self.groups = nn.Sequential(*groups)
        self.pool = PyramidPooling(width, width // len(_POOL_SCALES), _POOL_SCALES, align_corners=config.align_corners)
        self.fuse = ConvNormAct(self.pool.out_channels, config.global_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(self.pool(self.groups(x)))


class _InvertedResidual(nn.Module):
    """Widens, convolves each channel, narrows; with a shortcut where the shape stays."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        wide = in_channels * _EXPANSION
        super().__init__()
        self.convs = nn.Sequential(
            ConvNormAct(in_channels, wide, 1),
            ConvNormAct(wide, wide, 3, stride=stride, groups=wide),
            ConvNormAct(wide, channels, 1, act=False),
        )
        self.adds = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convs(x) if self.adds else self.convs(x)


class _Fusion(nn.Module):
    """Adds the enlarged context to the stem's map."""

    def __init__(self, fine_channels: int, config: FastSCNNConfig) -> None:
        super().__init__()
        channels = config.channels
        self.align_corners = config.align_corners
        self.depthwise = ConvNormAct(config.global_channels, channels, 3, groups=channels)
        self.coarse = ConvNormAct(channels, channels, 1, act=False)
        self.fine = ConvNormAct(fine_channels, channels, 1, act=False)
        self.act = build_act(channels)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        enlarged = resize_like(coarse, fine, align_corners=self.align_corners)
        return self.act(self.coarse(self.depthwise(enlarged)) + self.fine(fine))
