"""MobileViT (Mehta and Rastegari, 2022, arXiv:2110.02178) and its second version (arXiv:2206.02680)."""

from typing import Any

import torch
import torch.nn.functional as F
from timm.models.mobilevit import MobileVitBlock, MobileVitV2Block
from torch import Tensor, nn

from segkit.config.backbones import MobileViTConfig, MobileViTV2Config
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.ops.resize import fit
from segkit.ops.sizes import whole
from segkit.registry import BACKBONES


@BACKBONES.register(MobileViTConfig)
class MobileViT(TimmBackbone):
    """MobileViT; maps of an odd size are resized for the transformers, and back.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices`` at strides 2 to 32, their sizes rounded up.
    """

    def __init__(self, config: MobileViTConfig) -> None:
        name = {"xx_small": "mobilevit_xxs", "x_small": "mobilevit_xs", "small": "mobilevit_s"}[config.arch]
        model = create_model(config, name, "cvnets_in1k", drop_path_rate=config.drop_path)
        for block in (module for module in model.modules() if isinstance(module, MobileVitBlock)):
            block.__class__ = _Block
            if not config.projection_act:
                projection: Any = block.conv_proj
                projection.bn.act = nn.Identity()
        super().__init__(config, model, config.out_indices)


@BACKBONES.register(MobileViTV2Config)
class MobileViTV2(TimmBackbone):
    """MobileViT V2; maps of an odd size are enlarged to an even one for the transformers, and stay so.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices`` at strides 2 to 32, with 64, 128, 256, 384 and 512 channels times ``width``;
          their sizes are rounded up, to even ones from stride 8 on.
    """

    def __init__(self, config: MobileViTV2Config) -> None:
        name = f"mobilevitv2_{round(100 * config.width):03d}"
        model = create_model(config, name, "cvnets_in1k", drop_path_rate=config.drop_path)
        for block in (module for module in model.modules() if isinstance(module, MobileVitV2Block)):
            block.__class__ = _BlockV2
        super().__init__(config, model, config.out_indices)


# timm's blocks resize in a branch and compute sizes by way of floats: an export for any size loses the one and cannot
# follow the other. These give the same.


class _Block(MobileVitBlock):
    """Attends among the cells that have the same place in their patches: (N, C, H, W) -> (N, out_channels, H, W)."""

    conv_fusion: nn.Module  # the type admits None; these models have one

    def forward(self, x: Tensor) -> Tensor:
        side, size = self.patch_size[0], (x.shape[2], x.shape[3])
        local = self.conv_1x1(self.conv_kxk(x))
        patches = _patches(fit(local, _whole(size, side)), side)  # (N, D, P, rows, columns)
        tokens = patches.flatten(3).permute(0, 2, 3, 1)  # (N, P, L, D)
        seen = self.norm(self.transformer(tokens.flatten(0, 1))).unflatten(0, tokens.shape[:2])
        joined = _joined(seen.permute(0, 3, 1, 2).unflatten(3, patches.shape[3:]), side)
        return self.conv_fusion(torch.cat([x, self.conv_proj(fit(joined, size))], dim=1))


class _BlockV2(MobileVitV2Block):
    """The same with attention of linear cost: (N, C, H, W) -> (N, out_channels, H, W), both rounded up to patches."""

    def forward(self, x: Tensor) -> Tensor:
        side = self.patch_size[0]
        even = fit(x, _whole((x.shape[2], x.shape[3]), side), align_corners=True)
        patches = _patches(self.conv_1x1(self.conv_kxk(even)), side)  # (N, D, P, rows, columns)
        seen = self.norm(self.transformer(patches.flatten(3)))  # (N, D, P, L)
        return self.conv_proj(_joined(seen.unflatten(3, patches.shape[3:]), side))


def _whole(size: tuple[int, int], side: int) -> tuple[int, int]:
    return whole(size[0], side), whole(size[1], side)


def _patches(x: Tensor, side: int) -> Tensor:
    """(N, D, rows * side, columns * side) -> (N, D, side * side, rows, columns)."""
    return F.pixel_unshuffle(x, side).unflatten(1, (x.shape[1], side * side))


def _joined(patches: Tensor, side: int) -> Tensor:
    """The way back."""
    return F.pixel_shuffle(patches.flatten(1, 2), side)
