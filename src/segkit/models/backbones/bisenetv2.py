"""BiSeNet V2 (Yu et al., 2021, arXiv:2004.02147)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.backbones import BiSeNetV2Config
from segkit.layers.act import build_act
from segkit.layers.conv import ConvNormAct, DepthwiseSeparableConv
from segkit.layers.norm import build_norm
from segkit.models.backbones.own import OwnBackbone
from segkit.ops.resize import resize_like
from segkit.registry import BACKBONES
from segkit.types import FeatureSpec

_JOINED = 4
_BLOCKS = (2, 2, 4)  # of the semantic path's stages behind the stem


@BACKBONES.register(BiSeNetV2Config)
class BiSeNetV2(OwnBackbone):
    """A wide shallow path for detail, a narrow deep one for semantics, and an aggregation guided by both.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: maps ``out_indices`` of: the four stages of the semantic path at strides 4 to 32; the joined map at
          stride 8, as wide as the detail path's last stage.
    """

    def build(self, config: BiSeNetV2Config) -> list[FeatureSpec]:
        widths = config.semantic_channels
        self.stem = _Stem(config.image_channels, widths[0])
        self.stages = nn.ModuleList(
            _stage(widths[i], widths[i + 1], _BLOCKS[i], config.expansion)
            for i in range(min(max(self.out_indices), len(_BLOCKS)))
        )
        if _JOINED in self.out_indices:
            self.embed = _ContextEmbedding(widths[-1])
            self.detail = _detail(config.image_channels, config.detail_channels)
            self.join = _GuidedAggregation(widths[-1], align_corners=config.align_corners)
        return [FeatureSpec(*spec) for spec in zip((*widths, widths[-1]), config.STRIDES, strict=True)]

    def maps(self, images: Tensor) -> list[Tensor]:
        maps = [self.run(self.stem, images)]
        for stage in self.stages:
            maps.append(self.run(stage, maps[-1]))
        if hasattr(self, "join"):
            detail = self.run(self.detail, images)
            maps.append(self.run(self.join, detail, self.embed(maps[-1])))
        return maps


class _Stem(nn.Module):
    """Convolutions beside max pooling: (N, C, H, W) -> (N, channels, H / 4, W / 4)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.first = ConvNormAct(in_channels, channels, 3, stride=2)
        self.convs = nn.Sequential(
            ConvNormAct(channels, channels // 2, 1), ConvNormAct(channels // 2, channels, 3, stride=2)
        )
        self.fuse = ConvNormAct(2 * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.fuse(torch.cat([self.convs(x), F.max_pool2d(x, 3, stride=2, padding=1)], dim=1))


class _GatherExpand(nn.Module):
    """Widens while it convolves each channel, narrows, and adds the input.

    Args:
        in_channels: channels in.
        channels: channels out; as many as in at stride 1.
        stride: 1 or 2.
        expansion: factor of the width inside.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.gather = ConvNormAct(in_channels, in_channels, 3)
        expand = [ConvNormAct(in_channels, wide, 3, stride=stride, groups=in_channels, act=stride == 1)]
        if stride > 1:
            expand.append(ConvNormAct(wide, wide, 3, groups=wide))
        self.expand = nn.Sequential(*expand)
        self.project = ConvNormAct(wide, channels, 1, act=False)
        self.shortcut = (
            DepthwiseSeparableConv(in_channels, channels, 3, stride=stride, act=False) if stride > 1 else nn.Identity()
        )
        self.act = build_act(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.project(self.expand(self.gather(x))) + self.shortcut(x))


class _ContextEmbedding(nn.Module):
    """Adds the mean over the image to each cell: (N, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = build_norm(channels)
        self.pooled = ConvNormAct(channels, channels, 1)
        self.fuse = ConvNormAct(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(x + self.pooled(self.norm(x.mean((2, 3), keepdim=True))))


class _GuidedAggregation(nn.Module):
    """Each path weighs the other, at both resolutions: (N, C, H, W), (N, C, h, w) -> (N, C, H, W)."""

    def __init__(self, channels: int, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.detail = _depthwise_then_pointwise(channels)
        self.detail_down = ConvNormAct(channels, channels, 3, stride=2, act=False)
        self.semantic_up = ConvNormAct(channels, channels, 3, act=False)
        self.semantic = _depthwise_then_pointwise(channels)
        self.fuse = ConvNormAct(channels, channels, 3)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        guide = resize_like(self.semantic_up(semantic), detail, align_corners=self.align_corners)
        fine = self.detail(detail) * guide.sigmoid()
        coarse = F.avg_pool2d(self.detail_down(detail), 3, stride=2, padding=1) * self.semantic(semantic).sigmoid()
        return self.fuse(fine + resize_like(coarse, fine, align_corners=self.align_corners))


def _depthwise_then_pointwise(channels: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNormAct(channels, channels, 3, groups=channels, act=False), nn.Conv2d(channels, channels, 1, bias=False)
    )


def _stage(in_channels: int, channels: int, count: int, expansion: int) -> nn.Sequential:
    rest = (_GatherExpand(channels, channels, 1, expansion) for _ in range(count - 1))
    return nn.Sequential(_GatherExpand(in_channels, channels, 2, expansion), *rest)


def _detail(in_channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Three stages that halve the resolution, of two, three and three convolutions."""
    stages = []
    for width, count in zip(widths, (2, 3, 3), strict=True):
        convs = [ConvNormAct(in_channels, width, 3, stride=2)]
        convs += [ConvNormAct(width, width, 3) for _ in range(count - 1)]
        stages.append(nn.Sequential(*convs))
        in_channels = width
    return nn.Sequential(*stages)
