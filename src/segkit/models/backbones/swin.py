"""Swin transformer (Liu et al., 2021, arXiv:2103.14030)."""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor

from segkit.config.backbones import SwinTransformerConfig
from segkit.models.backbones.norms import set_layer_norm_eps
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
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
        super().__init__(config, model, config.out_indices, level_norm_eps=config.norm_eps)

    def _maps(self, images: Tensor) -> Mapping[int, Tensor]:
        height, width = images.shape[-2:]
        return super()._maps(F.pad(images, (0, -width % _PATCH, 0, -height % _PATCH)))


class _PaddedBlock(SwinTransformerBlock):
    """Pads to whole windows before the shift, as the paper's code does; timm pads behind it, so zeros lie elsewhere."""

    def _attn(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]  # (N, H, W, C)
        rows, columns = self.window_size
        padded = F.pad(x, (0, 0, 0, -width % columns, 0, -height % rows))
        attended: Tensor = super()._attn(padded)  # type: ignore[no-untyped-call]
        return attended[:, :height, :width]
