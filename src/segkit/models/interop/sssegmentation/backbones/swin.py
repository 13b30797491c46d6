"""Swin."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from segkit.config.backbones import SwinTransformerConfig
from segkit.models.interop.sssegmentation.backbones.reading import (
    DROPPED,
    Arguments,
    BackboneMap,
    by,
    level_norms,
    staged,
)
from segkit.models.interop.sssegmentation.rules import Rules


def _read_swin(given: Arguments) -> dict[str, Any]:
    given.fixed_act("GELU")
    given.fixed(patch_size=4, strides=(4, 2, 2, 2), qk_scale=None, patch_norm=True, use_abs_pos_embed=False)
    return given.common() | {
        "embed_dim": given.take("embed_dims", 96),
        "depths": given.take("depths", (2, 2, 6, 2)),
        "num_heads": given.take("num_heads", (3, 6, 12, 24)),
        "window_size": given.take("window_size", 7),
        "mlp_ratio": float(given.take("mlp_ratio", 4)),
        "qkv_bias": given.take("qkv_bias", True),
        **given.dropouts(drop_path=0.1),
        "norm_eps": given.layer_norm_eps(),
        "out_indices": given.indices((0, 1, 2, 3), 4),
    }


def _swin_rules(config: SwinTransformerConfig) -> Rules:
    parts = {
        "norm1": "norm1",
        "norm2": "norm2",
        "attn.w_msa": "attn",
        "attn.w_msa.qkv": "attn.qkv",
        "attn.w_msa.proj": "attn.proj",
        "ffn.layers.0.0": "mlp.fc1",
        "ffn.layers.1": "mlp.fc2",
    }
    blocks = {f"stages.#.blocks.#.{theirs}": f"model.layers.#.blocks.#.{ours}" for theirs, ours in parts.items()}
    rules = {"patch_embed.projection": "model.patch_embed.proj", "patch_embed.norm": "model.patch_embed.norm"}
    rules |= staged(blocks, config) | level_norms(config)
    for stage in range(3):  # they merge at the end of a stage, timm at the start of the next
        for part in ("norm", "reduction"):
            target = f"model.layers.{stage + 1}.downsample.{part}" if stage < max(config.out_indices) else DROPPED
            rules[f"stages.{stage}.downsample.{part}"] = target
    return rules


def _swin_tensor(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if name.endswith("relative_position_index"):
        return  # computed
    if ".downsample." in name:
        # The 2 x 2 cells that are merged: theirs are ordered by channel, then row and column; timm's by column, row,
        # then channel.
        cells = tensor.unflatten(-1, (-1, 2, 2))  # (..., C, row, column)
        tensor = cells.movedim(-3, -1).transpose(-3, -2).flatten(-3)
    yield name, tensor


MAPS: Mapping[str, BackboneMap] = {
    "SwinTransformer": BackboneMap(SwinTransformerConfig, _read_swin, by(_swin_rules), _swin_tensor),
}
