"""CGNet (Wu et al., 2018, arXiv:1811.08201)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.backbones import CGNetConfig
from segkit.config.layers import PReLUConfig
from segkit.layers.conv import ConvNormAct
from segkit.layers.norm import build_norm
from segkit.models.backbones.own import OwnBackbone
from segkit.registry import BACKBONES
from segkit.types import FeatureSpec


@BACKBONES.register(CGNetConfig)
class CGNet(OwnBackbone):
    """Weighs local features by their surroundings and by the whole image; small.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: maps ``out_indices`` of: the stem and the image at stride 2; the first level's first and last block
          and the image at stride 4; the second level's first and last block at stride 8.
    """

    act = PReLUConfig()

    def build(self, config: CGNetConfig) -> list[FeatureSpec]:
        stem, *levels = config.channels
        self.stem = nn.Sequential(
            ConvNormAct(config.image_channels, stem, 3, stride=2),
            ConvNormAct(stem, stem, 3),
            ConvNormAct(stem, stem, 3),
        )
        widths = [stem + config.image_channels, 2 * levels[0] + config.image_channels, 2 * levels[1]]
        last = max(self.out_indices)
        self.joins = nn.ModuleList(_NormAct(width) for width in widths[: last + 1])
        self.levels = nn.ModuleList(
            _Level(
                *_blocks(widths[i], levels[i], config.num_blocks[i], config.dilations[i], config.reductions[i]),
                last_first=i == 0,
            )
            for i in range(last)
        )
        return [FeatureSpec(width, 2 * 2**i) for i, width in enumerate(widths)]

    def maps(self, images: Tensor) -> list[Tensor]:
        half = _shrink(images)
        maps = [self.joins[0](torch.cat([self.run(self.stem, images), half], dim=1))]
        for i, (level, join) in enumerate(zip(self.levels, self.joins[1:], strict=True)):
            x = self.run(level, maps[-1])
            maps.append(join(x if i else torch.cat([x, _shrink(half)], dim=1)))
        return maps


class _Level(nn.Sequential):
    """Blocks in a row, whose first and last outcome are stacked: (N, C, H, W) -> (N, 2 c, H / 2, W / 2)."""

    def __init__(self, *blocks: nn.Module, last_first: bool) -> None:
        super().__init__(*blocks)
        self.last_first = last_first

    def forward(self, x: Tensor) -> Tensor:
        opening, *others = self
        first = last = opening(x)
        for block in others:
            last = block(last)
        return torch.cat([last, first] if self.last_first else [first, last], dim=1)


class _Block(nn.Module):
    """Local features and their surroundings, gated by the whole image.

    Args:
        in_channels: channels in.
        channels: channels out.
        dilation: distance between the cells of the surroundings.
        reduction: divides the channels inside the gate.
        shrink: halves height and width; else the input is added to the result.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: (N, channels, H, W), or half the size.
    """

    def __init__(self, in_channels: int, channels: int, dilation: int, reduction: int, *, shrink: bool) -> None:
        super().__init__()
        self.shrink = shrink
        inner = channels if shrink else channels // 2
        self.project = ConvNormAct(in_channels, inner, 3, stride=2) if shrink else ConvNormAct(in_channels, inner, 1)
        self.local = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.surround = nn.Conv2d(inner, inner, 3, padding=dilation, dilation=dilation, groups=inner, bias=False)
        self.join = _NormAct(2 * inner)
        self.squeeze = nn.Conv2d(2 * inner, channels, 1, bias=False) if shrink else nn.Identity()
        self.gate = nn.Sequential(
            nn.Linear(channels, channels // reduction), nn.ReLU(), nn.Linear(channels // reduction, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.project(x)
        out = self.squeeze(self.join(torch.cat([self.local(inner), self.surround(inner)], dim=1)))
        out = out * self.gate(out.mean((2, 3))).sigmoid()[..., None, None]
        return out if self.shrink else x + out


class _NormAct(nn.Module):
    """Normalisation and a PReLU, whatever activation the convolutions have."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = build_norm(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(x))


def _blocks(in_channels: int, channels: int, count: int, dilation: int, reduction: int) -> list[_Block]:
    rest = (_Block(channels, channels, dilation, reduction, shrink=False) for _ in range(count - 1))
    return [_Block(in_channels, channels, dilation, reduction, shrink=True), *rest]


def _shrink(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 3, stride=2, padding=1)
