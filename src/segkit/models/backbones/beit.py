"""BEiT (Bao et al., 2022, arXiv:2106.08254), and the same network for masked autoencoders (arXiv:2111.06377)."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import timm
from timm.models import build_model_with_cfg
from timm.models.beit import Attention, Beit, Block, gen_relative_position_index
from torch import Tensor

from segkit.config.backbones import BEiTConfig, MAEConfig
from segkit.models.backbones.plain import PlainTransformer
from segkit.models.backbones.positions import Size, resize_bias_table, square_window
from segkit.models.backbones.weights import create_model
from segkit.ops.sizes import exporting
from segkit.registry import BACKBONES

_PLACELESS = 3
"""Biases of a table that are of no offset: class token to patches, patches to class token, class token to itself."""

_BEIT_WEIGHTS: dict[Any, tuple[str, str]] = {  # (embed_dim, depth, num_heads, patch_size) -> name, tag
    (768, 12, 12, 16): ("beit_base_patch16_224", "in22k_ft_in22k"),
    (1024, 24, 16, 16): ("beit_large_patch16_224", "in22k_ft_in22k"),
}
_MAE_WEIGHTS: dict[Any, tuple[str, str]] = {
    (768, 12, 12, 16): ("vit_base_patch16_224", "mae"),
    (1024, 24, 16, 16): ("vit_large_patch16_224", "mae"),
    (1280, 32, 16, 14): ("vit_huge_patch14_224", "mae"),
}


class BiasedTransformer(PlainTransformer):
    """A plain transformer with a table of relative position biases in each block, resized as images ask for it."""

    def __init__(self, config: BEiTConfig | MAEConfig, model: Any) -> None:
        for module in model.modules():
            if isinstance(module, Attention):
                module.__class__ = _OuterBias
        super().__init__(config, model, "bicubic")

    def _run(self, block: Block, x: Tensor, size: Size) -> Tensor:
        attention = block.attn
        before = attention.window_size
        table = resize_bias_table(attention.relative_position_bias_table, before, size)
        index = attention.relative_position_index
        if exporting() or before != size:
            index = gen_relative_position_index(size, device=x.device)
        return block(x, shared_rel_pos_bias=table[index].permute(2, 0, 1).unsqueeze(0))  # (1, heads, 1 + L, 1 + L)

    def adapt_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        size = self.model.patch_embed.grid_size
        adapted = super().adapt_state(state)
        for name, table in adapted.items():
            if name.endswith(".relative_position_bias_table") and table.ndim == 2:
                before = square_window(len(table) - _PLACELESS)
                if before is not None and len(table) != (2 * size[0] - 1) * (2 * size[1] - 1) + _PLACELESS:
                    adapted = adapted | {name: resize_bias_table(table, before, size)}
        return adapted


@BACKBONES.register(BEiTConfig)
class BEiT(BiasedTransformer):
    """BEiT for images of any size.

    Shape:
        - Input: (N, in_channels, H, W); padded with zeros to whole patches.
        - Output: blocks ``out_indices``, each with ``embed_dim`` channels at the stride of the patches.
    """

    def __init__(self, config: BEiTConfig) -> None:
        name, tag = _known(config, _BEIT_WEIGHTS) or ("beit_base_patch16_224", None)
        super().__init__(config, create_model(config, name, tag, **_arguments(config)))


@BACKBONES.register(MAEConfig)
class MAE(BiasedTransformer):
    """BEiT's network with learned positions; it starts from weights of a masked autoencoder, which has no biases.

    Shape:
        - Input: (N, in_channels, H, W); padded with zeros to whole patches.
        - Output: blocks ``out_indices``, each with ``embed_dim`` channels at the stride of the patches.
    """

    def __init__(self, config: MAEConfig) -> None:
        name, tag = _known(config, _MAE_WEIGHTS) or ("vit_base_patch16_224", None)
        make = partial(build_model_with_cfg, Beit, pretrained_filter_fn=_autoencoder_weights, pretrained_strict=False)
        super().__init__(config, create_model(config, name, tag, make, use_abs_pos_emb=True, **_arguments(config)))

    def adapt_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        adapted = _without_key_bias(super().adapt_state(state))
        if "model.blocks.0.mlp.fc1.weight" in adapted:  # what an autoencoder lacks starts as if it were not there
            for name, value in self.model.state_dict().items():
                if name.endswith((".gamma_1", ".gamma_2", ".relative_position_bias_table")):
                    adapted.setdefault(f"model.{name}", value)
        return adapted


class _OuterBias(Attention):
    """Leaves the position bias to the caller, who knows the size of the image."""

    def _get_rel_pos_bias(self) -> Tensor:
        return self.relative_position_bias_table.new_zeros(())


def _known(config: BEiTConfig | MAEConfig, weights: Mapping[Any, tuple[str, str]]) -> tuple[str, str] | None:
    if not config.qkv_bias or not config.layer_scale_init:
        return None
    return weights.get((config.embed_dim, config.depth, config.num_heads, config.patch_size))


def _arguments(config: BEiTConfig | MAEConfig) -> dict[str, Any]:
    return {
        "img_size": config.image_size,
        "patch_size": config.patch_size,
        "embed_dim": config.embed_dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "mlp_ratio": config.mlp_ratio,
        "qkv_bias": config.qkv_bias,
        "attn_drop_rate": config.attention_dropout,
        "drop_path_rate": config.drop_path,
        "init_values": config.layer_scale_init or None,
        "use_rel_pos_bias": True,
        "use_fc_norm": not config.final_norm,
    }


def _without_key_bias(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Splits biases of queries, keys and values; that of the keys cancels in the softmax."""
    split: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.endswith(".attn.qkv.bias"):
            query, _, split[re.sub(r"qkv\.bias$", "v_bias", name)] = value.chunk(3)
            split[re.sub(r"qkv\.bias$", "q_bias", name)] = query
        else:
            split[name] = value
    return split


def _autoencoder_weights(state: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Filters the file of timm's weights as it is read."""
    return _without_key_bias(timm.models.vision_transformer.checkpoint_filter_fn(state, model))
