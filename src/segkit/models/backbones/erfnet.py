"""ERFNet (Romera et al., 2017, doi:10.1109/TITS.2017.2750080)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.backbones import ERFNetConfig
from segkit.layers.act import build_act
from segkit.layers.norm import build_norm
from segkit.models.backbones.own import OwnBackbone
from segkit.ops.resize import resize_like
from segkit.registry import BACKBONES
from segkit.types import FeatureSpec


@BACKBONES.register(ERFNetConfig)
class ERFNet(OwnBackbone):
    """Residual blocks of convolutions one row or column wide, in an encoder and a small decoder.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: one map at stride 2, as wide as the last of ``dec_channels``.
    """

    def build(self, config: ERFNetConfig) -> list[FeatureSpec]:
        first, second, third = config.enc_channels
        plain = [_Block(second, 1, config.dropout) for _ in range(config.enc_blocks[0])]
        rounds = config.enc_blocks[1] // len(config.dilations)
        dilated = [_Block(third, dilation, config.dropout) for dilation in config.dilations * rounds]
        self.encoder = nn.Sequential(
            _Down(config.image_channels, first), _Down(first, second), *plain, _Down(second, third), *dilated
        )
        decoder: list[nn.Module] = []
        width = third
        for channels, count in zip(config.dec_channels, config.dec_blocks, strict=True):
            decoder += [_Up(width, channels), *(_Block(channels, 1, 0.0) for _ in range(count))]
            width = channels
        self.decoder = nn.Sequential(*decoder)
        return [FeatureSpec(width, 2)]

    def maps(self, images: Tensor) -> list[Tensor]:
        x = images
        for stage in (*self.encoder, *self.decoder):
            x = self.run(stage, x)
        height, width = images.shape[-2:]
        # Doubled from stride 8, the map may reach over the edge of the image.
        return [x[..., : (height + 1) // 2, : (width + 1) // 2]]


class _Down(nn.Module):
    """Halves height and width by a strided convolution beside max pooling: (N, C, H, W) -> (N, c, H / 2, W / 2)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels - in_channels, 3, stride=2, padding=1, bias=False)
        self.norm = build_norm(channels)
        self.act = build_act(channels)

    def forward(self, x: Tensor) -> Tensor:
        convolved = self.conv(x)
        pooled = resize_like(F.max_pool2d(x, 2), convolved)  # of odd sizes, pooling leaves out the last row or column
        return self.act(self.norm(torch.cat([convolved, pooled], dim=1)))


class _Up(nn.Module):
    """Doubles height and width by a transposed convolution: (N, C, H, W) -> (N, c, 2 H, 2 W)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, channels, 3, stride=2, padding=1, output_padding=1)
        self.norm = build_norm(channels)
        self.act = build_act(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class _Block(nn.Module):
    """Two 3x3 convolutions, each as a column and a row, the second one dilated, and a shortcut."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.column1, self.row1 = _column_and_row(channels, 1)
        self.norm1 = build_norm(channels)
        self.column2, self.row2 = _column_and_row(channels, dilation)
        self.norm2 = build_norm(channels)
        self.dropout = nn.Dropout(dropout)
        self.act = build_act(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = self.act(self.norm1(self.row1(self.act(self.column1(x)))))
        out = self.norm2(self.row2(self.act(self.column2(out))))
        return self.act(self.dropout(out) + x)


def _column_and_row(channels: int, dilation: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    return (
        nn.Conv2d(channels, channels, (3, 1), padding=(dilation, 0), dilation=(dilation, 1)),
        nn.Conv2d(channels, channels, (1, 3), padding=(0, dilation), dilation=(1, dilation)),
    )
