"""Vision Transformer (Dosovitskiy et al., 2021, arXiv:2010.11929)."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from segkit.config.backbones import VisionTransformerConfig
from segkit.models.backbones.plain import PlainTransformer
from segkit.models.backbones.positions import Size
from segkit.models.backbones.weights import create_model
from segkit.registry import BACKBONES

_TIMM_WEIGHTS: dict[Any, tuple[str, str]] = {  # (embed_dim, depth, num_heads, patch_size) -> name, tag
    (192, 12, 3, 16): ("vit_tiny_patch16_384", "augreg_in21k_ft_in1k"),
    (384, 12, 6, 16): ("vit_small_patch16_384", "augreg_in21k_ft_in1k"),
    (768, 12, 12, 16): ("vit_base_patch16_384", "augreg_in21k_ft_in1k"),
    (1024, 24, 16, 16): ("vit_large_patch16_384", "augreg_in21k_ft_in1k"),
}


@BACKBONES.register(VisionTransformerConfig)
class VisionTransformer(PlainTransformer):
    """Plain transformer for images of any size; positions are resized bilinearly.

    Shape:
        - Input: (N, in_channels, H, W); padded with zeros to whole patches.
        - Output: blocks ``out_indices``, each with ``embed_dim`` channels at the stride of the patches.
    """

    def __init__(self, config: VisionTransformerConfig) -> None:
        known = _TIMM_WEIGHTS.get((config.embed_dim, config.depth, config.num_heads, config.patch_size))
        usual = config.class_token and config.patch_bias and not config.patch_norm and not config.pre_norm
        name, tag = known if known and usual else ("vit_base_patch16_224", None)
        model = create_model(
            config,
            name,
            tag,
            img_size=config.image_size,
            patch_size=config.patch_size,
            embed_dim=config.embed_dim,
            depth=config.depth,
            num_heads=config.num_heads,
            mlp_ratio=config.mlp_ratio,
            qkv_bias=config.qkv_bias,
            class_token=config.class_token,
            global_pool="token" if config.class_token else "",
            embed_norm_layer=partial(nn.LayerNorm, eps=config.norm_eps) if config.patch_norm else None,
            pre_norm=config.pre_norm,
            pos_drop_rate=config.dropout,
            proj_drop_rate=config.dropout,
            attn_drop_rate=config.attention_dropout,
            drop_path_rate=config.drop_path,
        )
        _set_bias(model.patch_embed.proj, config.patch_bias)
        super().__init__(config, model, "bilinear")

    def _tokens(self, images: Tensor, size: Size) -> Tensor:
        return self.model.norm_pre(super()._tokens(images, size))


def _set_bias(conv: nn.Conv2d, wanted: bool) -> None:
    """Gives the patch embedding a bias or takes it away; timm ties it to ``pre_norm``."""
    if wanted != (conv.bias is not None):
        conv.bias = nn.Parameter(torch.zeros(conv.out_channels)) if wanted else None
