"""Swin transformer (Liu et al., 2021, arXiv:2103.14030)."""

from collections.abc import Mapping
from typing import Any

import torch
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock
from torch import Tensor

from segkit.config.backbones import SwinTransformerConfig
from segkit.models.backbones.norms import set_layer_norm_eps
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.ops.sizes import joined_windows, pad_cells_to_whole, pad_to_whole, windows_of
from segkit.registry import BACKBONES

_TIMM_WEIGHTS: dict[Any, tuple[str, str]] = {  # (embed_dim, depths, window_size) -> name, tag
    (96, (2, 2, 6, 2), 7): ("swin_tiny_patch4_window7_224", "ms_in22k_ft_in1k"),
    (96, (2, 2, 18, 2), 7): ("swin_small_patch4_window7_224", "ms_in22k_ft_in1k"),
    (128, (2, 2, 18, 2), 7): ("swin_base_patch4_window7_224", "ms_in22k"),
    (128, (2, 2, 18, 2), 12): ("swin_base_patch4_window12_384", "ms_in22k"),
    (192, (2, 2, 18, 2), 7): ("swin_large_patch4_window7_224", "ms_in22k"),
    (192, (2, 2, 18, 2), 12): ("swin_large_patch4_window12_384", "ms_in22k"),
}
_PATCH = 4
_FAR = -100.0
"""What an attention loses between cells that are no neighbours; the published weights were trained with it."""


@BACKBONES.register(SwinTransformerConfig)
class SwinTransformer(TimmBackbone):
    """Swin transformer for images of any size, with a normalisation of its own on each returned map.

    Shape:
        - Input: (N, in_channels, H, W); padded with zeros to whole patches.
        - Output: stages ``out_indices``; stage i has embed_dim * 2**i channels, and its size is rounded up.
    """

    def __init__(self, config: SwinTransformerConfig) -> None:
        known = _TIMM_WEIGHTS.get((config.embed_dim, config.depths, config.window_size))
        name, tag = known or ("swin_tiny_patch4_window7_224", None)
        model = create_model(
            config,
            name,
            tag,
            embed_dim=config.embed_dim,
            depths=config.depths,
            num_heads=config.num_heads,
            window_size=config.window_size,
            mlp_ratio=config.mlp_ratio,
            qkv_bias=config.qkv_bias,
            proj_drop_rate=config.dropout,
            attn_drop_rate=config.attention_dropout,
            drop_path_rate=config.drop_path,
            strict_img_size=False,
            always_partition=True,  # else windows shrink, and shifts vanish, on small maps
        )
        set_layer_norm_eps(model, config.norm_eps)
        for module in model.modules():
            if isinstance(module, SwinTransformerBlock):
                module.__class__ = _PaddedBlock
            if isinstance(module, PatchMerging):
                module.__class__ = _PaddedMerging
        super().__init__(config, model, config.out_indices, level_norm_eps=config.norm_eps)

    def _maps(self, images: Tensor) -> Mapping[int, Tensor]:
        return super()._maps(pad_to_whole(images, (_PATCH, _PATCH)))


class _PaddedMerging(PatchMerging):
    """timm's, with sizes that an exporter can follow."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(pad_cells_to_whole(x, (2, 2)))


class _PaddedBlock(SwinTransformerBlock):
    """Pads to whole windows before the shift, as the paper's code does; timm pads behind it, so zeros lie elsewhere."""

    def _attn(self, x: Tensor) -> Tensor:
        (height, width), sides, shifts = x.shape[1:3], self.window_size, self.shift_size
        padded = pad_cells_to_whole(x, sides)
        if any(shifts):
            padded = padded.roll((-shifts[0], -shifts[1]), (1, 2))
        windows = windows_of(padded, sides)
        attended = self.attn(windows.flatten(0, 2), mask=self._apart(padded) if any(shifts) else None)
        joined = joined_windows(attended.view_as(windows), sides)
        if any(shifts):
            joined = joined.roll(shifts, (1, 2))
        return joined[:, :height, :width]

    def _apart(self, x: Tensor) -> Tensor:
        """What cells of a window that come from different ends of a shifted map lose: (windows, cells, cells)."""
        ends = [
            (place >= size - side).long() + (place >= size - shift)
            for size, side, shift in zip(x.shape[1:3], self.window_size, self.shift_size, strict=True)
            for place in [torch.arange(size, device=x.device)]
        ]
        regions = windows_of((3 * ends[0][:, None] + ends[1])[None, :, :, None], self.window_size)
        regions = regions.flatten(0, 2)[:, :, 0]  # (windows, cells)
        return _FAR * (regions[:, :, None] != regions[:, None, :]).to(x.dtype)
