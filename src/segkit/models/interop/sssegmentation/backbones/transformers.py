"""Transformers of one resolution: Vision Transformer, BEiT and MAE."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from segkit.config.backbones import BEiTConfig, MAEConfig, PlainTransformerConfig, VisionTransformerConfig
from segkit.models.interop.sssegmentation.backbones.reading import DROPPED, Arguments, BackboneMap
from segkit.models.interop.sssegmentation.rules import Rules, rename

_TOKENLESS = "model.of_patches"
"""Where their positions wait for the loss of the class token's, which the network does without."""


def _read(given: Arguments, side: int) -> dict[str, Any]:
    """What the three have in common; ``side`` is of their images by default."""
    given.fixed_act("GELU")
    size = given.take("img_size", side)
    depth = given.take("num_layers", 12)
    return given.common() | {
        "image_size": (size, size) if isinstance(size, int) else tuple(size),
        "patch_size": given.take("patch_size", 16),
        "embed_dim": given.take("embed_dims", 768),
        "depth": depth,
        "num_heads": given.take("num_heads", 12),
        "mlp_ratio": float(given.take("mlp_ratio", 4)),
        "attention_dropout": given.take("attn_drop_rate", 0.0),
        "norm_eps": given.layer_norm_eps(1e-6),
    }


def _read_vit(given: Arguments) -> dict[str, Any]:
    given.fixed(patch_pad="corner", out_origin=False, output_cls_token=False, interpolate_mode="bilinear")
    common = _read(given, 224)
    return common | {
        "qkv_bias": given.take("qkv_bias", True),
        "dropout": given.take("drop_rate", 0.0),
        "drop_path": given.take("drop_path_rate", 0.0),
        "class_token": given.take("with_cls_token", True),
        "patch_bias": given.take("patch_bias", True),
        "patch_norm": given.take("patch_norm", False),
        "pre_norm": given.take("pre_norm", False),
        "final_norm": given.take("final_norm", False),
        "out_indices": given.indices((9, 14, 19, 23), common["depth"]),
    }


def _read_biased(given: Arguments, init: float) -> dict[str, Any]:
    given.fixed(patch_norm=False)
    common = _read(given, 640)
    return common | {
        "drop_path": given.take("drop_path_rate", 0.1),
        "layer_scale_init": given.take("init_values", init),
        "out_indices": given.indices((3, 5, 7, 11), common["depth"]),
    }


def _read_beit(given: Arguments) -> dict[str, Any]:
    bias, norm = given.take("qv_bias", True), given.take("final_norm", False)
    return _read_biased(given, 0.1) | {"qkv_bias": bias, "final_norm": norm}


def _read_mae(given: Arguments) -> dict[str, Any]:
    given.fixed(final_norm=False)  # theirs fails with it
    return _read_biased(given, 1.0)


_BLOCK = {"ln1": "norm1", "ln2": "norm2", "ffn.layers.0.0": "mlp.fc1", "ffn.layers.1": "mlp.fc2"}
_VIT_BLOCK = _BLOCK | {"attn.attn": "attn.qkv", "attn.attn.out_proj": "attn.proj"}


_BIASED_BLOCK = _BLOCK | {"": "", "attn": "attn", "attn.qkv": "attn.qkv", "attn.proj": "attn.proj"}


def _rules(config: PlainTransformerConfig, parts: Mapping[str, str]) -> Rules:
    last = max(config.out_indices)
    ends_in_norm = config.final_norm and last == config.depth - 1
    rules = {
        "": "model",  # position embeddings and the class token
        "patch_embed.projection": "model.patch_embed.proj",
        "patch_embed.norm": "model.patch_embed.norm",
        "ln_pre": "model.norm_pre",
        "ln1": "model.norm" if ends_in_norm else DROPPED,
    }
    for i in range(config.depth):
        for theirs, ours in parts.items():
            target = f"model.blocks.{i}.{ours}".rstrip(".") if i <= last else DROPPED
            rules[f"layers.{i}.{theirs}".rstrip(".")] = target
    return rules


def _vit_names(names: Iterable[str], config: VisionTransformerConfig) -> dict[str, str]:
    renamed = rename(names, _rules(config, _VIT_BLOCK))
    if not config.class_token:  # theirs is added, and dropped before the first block
        unused = {"cls_token": f"{DROPPED}.cls_token", "pos_embed": f"{_TOKENLESS}.pos_embed"}
        renamed |= {name: ours for name, ours in unused.items() if name in renamed}
    return renamed


def _vit_tensor(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if name.startswith(_TOKENLESS):
        yield "model.pos_embed", tensor[:, 1:]
    else:
        yield name.replace(".qkv.in_proj_", ".qkv."), tensor


def _biased_names(names: Iterable[str], config: BEiTConfig | MAEConfig) -> dict[str, str]:
    return rename(names, _rules(config, _BIASED_BLOCK))


def _biased_tensor(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if name.endswith(".relative_position_index"):
        return  # computed
    if name.endswith(".attn.qkv.bias"):  # that of the keys cancels in the softmax
        query, _, value = tensor.chunk(3)
        yield name.replace(".qkv.bias", ".q_bias"), query
        yield name.replace(".qkv.bias", ".v_bias"), value
    else:
        yield name, tensor


MAPS: Mapping[str, BackboneMap] = {
    "VisionTransformer": BackboneMap(VisionTransformerConfig, _read_vit, _vit_names, _vit_tensor),
    "BEiT": BackboneMap(BEiTConfig, _read_beit, _biased_names, _biased_tensor),
    "MAE": BackboneMap(MAEConfig, _read_mae, _biased_names, _biased_tensor),
}
