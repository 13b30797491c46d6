"""The encoder of SegFormer."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from segkit.config.backbones import MixVisionTransformerConfig
from segkit.models.interop.sssegmentation.backbones.reading import (
    REDUCING_BLOCK,
    Arguments,
    BackboneMap,
    by,
    query_apart,
    staged,
)
from segkit.models.interop.sssegmentation.rules import Rules


def _read_mit(given: Arguments) -> dict[str, Any]:
    given.fixed_act("GELU")
    given.fixed(patch_sizes=(7, 3, 3, 3), strides=(4, 2, 2, 2))
    return given.common() | {
        "embed_dim": given.take("embed_dims", 64),
        "depths": given.take("num_layers", (3, 4, 6, 3)),
        "num_heads": given.take("num_heads", (1, 2, 4, 8)),
        "sr_ratios": given.take("sr_ratios", (8, 4, 2, 1)),
        "mlp_ratio": float(given.take("mlp_ratio", 4)),
        "qkv_bias": given.take("qkv_bias", True),
        **given.dropouts(drop_path=0.0),
        "norm_eps": given.layer_norm_eps(1e-6),
        "out_indices": given.indices((0, 1, 2, 3), 4),
    }


def _mit_rules(config: MixVisionTransformerConfig) -> Rules:
    parts = {
        **REDUCING_BLOCK,
        "ffn.layers.0": "mlp.fc1",
        "ffn.layers.1": "mlp.dwconv",
        "ffn.layers.4": "mlp.fc2",
    }
    blocks = {f"layers.#.1.#.{theirs}": f"model.stages.#.blocks.#.{ours}" for theirs, ours in parts.items()}
    patches = {
        "layers.#.0.projection": "model.stages.#.downsample.proj",
        "layers.#.0.norm": "model.stages.#.downsample.norm",
    }
    first = {"layers.0.0.projection": "model.patch_embed.proj", "layers.0.0.norm": "model.patch_embed.norm"}
    return staged(patches, config) | first | staged(blocks | {"layers.#.2": "model.stages.#.norm"}, config)


def _mit_tensor(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if re.search(r"mlp\.fc\d\.weight$", name):
        tensor = tensor.flatten(1)  # their linear layers are 1x1 convolutions
    yield from query_apart(name, tensor)


MAPS: Mapping[str, BackboneMap] = {
    "MixVisionTransformer": BackboneMap(MixVisionTransformerConfig, _read_mit, by(_mit_rules), _mit_tensor),
}
