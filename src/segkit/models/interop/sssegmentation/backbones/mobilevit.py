"""MobileViT and MobileViT V2."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from segkit.config.backbones import MobileViTConfig, MobileViTV2Config
from segkit.models.interop.sssegmentation.backbones.reading import DROPPED, Arguments, BackboneMap, by
from segkit.models.interop.sssegmentation.rules import Rules

_STAGES = 5


def _read_mobilevit(given: Arguments) -> dict[str, Any]:
    given.fixed(stem_channels=16, last_exp_factor=4)
    given.fixed_act("Swish")
    return given.common() | {
        "arch": given.take("arch", "small"),
        "projection_act": False,
        "out_indices": given.indices(tuple(range(_STAGES)), _STAGES),
        "norm": given.norm(),
    }


def _read_mobilevitv2(given: Arguments) -> dict[str, Any]:
    given.fixed_act("SiLU")
    return given.common() | {
        "width": int(given.take("arch", "mobilevitv2_050").removeprefix("mobilevitv2_")) / 100,
        "out_indices": given.indices(tuple(range(_STAGES)), _STAGES),
        "norm": given.norm(),
    }


def _rules(config: MobileViTConfig | MobileViTV2Config, stages: str, parts: Mapping[str, str]) -> Rules:
    """Rules for the parts of a block, in each stage; and for the inverted residuals that both have."""
    parts = {**parts}
    for i, conv in enumerate(("conv1_1x1", "conv2_kxk", "conv3_1x1")):
        parts |= {f"conv.{i}.{leaf}": f"{conv}.{leaf}" for leaf in ("conv", "bn")}
    rules = {f"stem.{leaf}": f"model.stem.{leaf}" for leaf in ("conv", "bn")}
    for i in range(_STAGES):
        for theirs, ours in parts.items():
            target = f"model.stages.{i}.#.{ours}" if i <= max(config.out_indices) else DROPPED
            rules[f"{stages}.{i}.#.{theirs}"] = target
    return rules


def _mobilevit_rules(config: MobileViTConfig) -> Rules:
    parts = {"local_rep.1.conv": "conv_1x1"}
    for theirs, ours in (("local_rep.0", "conv_kxk"), ("conv_proj", "conv_proj"), ("conv_fusion", "conv_fusion")):
        parts |= {f"{theirs}.{leaf}": f"{ours}.{leaf}" for leaf in ("conv", "bn")}
    block = {"ln1": "norm1", "ln2": "norm2", "attn.attn": "attn.qkv", "attn.attn.out_proj": "attn.proj"}
    block |= {"ffn.layers.0.0": "mlp.fc1", "ffn.layers.1": "mlp.fc2"}
    parts |= {f"global_rep.#.{theirs}": f"transformer.#.{ours}" for theirs, ours in block.items()}
    parts |= {f"global_rep.{depth}": "norm" for depth in (2, 3, 4)}  # behind as many blocks
    kept = max(config.out_indices) == _STAGES - 1
    last = {f"conv_1x1_exp.{leaf}": f"model.final_conv.{leaf}" if kept else DROPPED for leaf in ("conv", "bn")}
    return _rules(config, "layers", parts) | last


def _mobilevit_tensor(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield name.replace(".qkv.in_proj_", ".qkv."), tensor


def _mobilevitv2_rules(config: MobileViTV2Config) -> Rules:
    parts = {"conv_1x1": "conv_1x1", "norm": "norm"}
    parts |= {f"{conv}.{leaf}": f"{conv}.{leaf}" for conv in ("conv_kxk", "conv_proj") for leaf in ("conv", "bn")}
    block = ("norm1", "attn.qkv_proj", "attn.out_proj", "norm2", "mlp.fc1", "mlp.fc2")
    return _rules(config, "stages", parts | {f"transformer.#.{part}": f"transformer.#.{part}" for part in block})


MAPS: Mapping[str, BackboneMap] = {
    "MobileViT": BackboneMap(MobileViTConfig, _read_mobilevit, by(_mobilevit_rules), _mobilevit_tensor),
    "MobileViTV2": BackboneMap(MobileViTV2Config, _read_mobilevitv2, by(_mobilevitv2_rules)),
}
