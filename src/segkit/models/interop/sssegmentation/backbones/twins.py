"""Twins: PCPVT and SVT."""

from collections.abc import Mapping
from typing import Any

from segkit.config.backbones import PCPVTConfig, SVTConfig, TwinsConfig
from segkit.models.interop.sssegmentation.backbones.reading import (
    DROPPED,
    REDUCING_BLOCK,
    Arguments,
    BackboneMap,
    by,
    query_apart,
    staged,
)
from segkit.models.interop.sssegmentation.rules import Rules


def _read(given: Arguments, widths: tuple[int, ...], stage_norm: bool) -> dict[str, Any]:
    embed_dims = given.take("embed_dims", widths)
    stages = len(embed_dims)
    given.fixed_act("GELU")
    given.fixed(qkv_bias=True)
    given.fixed_by_stage(stages, patch_sizes=(4, 2, 2, 2), strides=(4, 2, 2, 2))
    return given.common() | {
        "embed_dims": embed_dims,
        "sr_ratios": given.take("sr_ratios", (8, 4, 2, 1))[:stages],
        "stage_norm": given.take("norm_after_stage", stage_norm),
        **given.dropouts(drop_path=0.0),
        "norm_eps": given.layer_norm_eps(),
        "out_indices": given.indices(tuple(range(stages)), stages),
    }


def _read_pcpvt(given: Arguments) -> dict[str, Any]:
    return _read(given, (64, 128, 320, 512), stage_norm=False) | {
        "depths": given.take("depths", (3, 4, 6, 3)),
        "num_heads": given.take("num_heads", (1, 2, 5, 8)),
        "mlp_ratios": _floats(given.take("mlp_ratios", (8, 8, 4, 4))),
    }


def _read_svt(given: Arguments) -> dict[str, Any]:
    return _read(given, (64, 128, 256), stage_norm=True) | {
        "depths": given.take("depths", (4, 4, 4)),
        "num_heads": given.take("num_heads", (1, 2, 4)),
        "mlp_ratios": _floats(given.take("mlp_ratios", (4, 4, 4))),
        "window_sizes": given.take("windiow_sizes", (7, 7, 7)),  # their spelling
    }


def _floats(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _rules(config: TwinsConfig) -> Rules:
    parts = {
        **REDUCING_BLOCK,
        "attn.qkv": "attn.qkv",
        "attn.proj": "attn.proj",
        "ffn.layers.0.0": "mlp.fc1",
        "ffn.layers.1": "mlp.fc2",
    }
    rules = {f"layers.#.#.{theirs}": f"model.blocks.#.#.{ours}" for theirs, ours in parts.items()}
    rules |= {
        "patch_embeds.#.projection": "model.patch_embeds.#.proj",
        "patch_embeds.#.norm": "model.patch_embeds.#.norm",
        "position_encodings.#.proj": "model.pos_block.#.proj.0",
        "norm_list.#": "model.stage_norms.#" if config.stage_norm else DROPPED,
    }
    return staged(rules, config)


MAPS: Mapping[str, BackboneMap] = {
    "PCPVT": BackboneMap(PCPVTConfig, _read_pcpvt, by(_rules), query_apart),
    "SVT": BackboneMap(SVTConfig, _read_svt, by(_rules), query_apart),
}
