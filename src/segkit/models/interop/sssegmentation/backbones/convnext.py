"""ConvNeXt and ConvNeXt V2."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from segkit.config.backbones import ConvNeXtConfig, ConvNeXtFamilyConfig, ConvNeXtV2Config
from segkit.models.interop.sssegmentation.backbones.reading import Arguments, BackboneMap, by, level_norms, staged
from segkit.models.interop.sssegmentation.rules import Rules

_CONVNEXTS = {  # depths, first width
    "atto": ((2, 2, 6, 2), 40),
    "femto": ((2, 2, 6, 2), 48),
    "pico": ((2, 2, 6, 2), 64),
    "nano": ((2, 2, 8, 2), 80),
    "tiny": ((3, 3, 9, 3), 96),
    "small": ((3, 3, 27, 3), 96),
    "base": ((3, 3, 27, 3), 128),
    "large": ((3, 3, 27, 3), 192),
    "xlarge": ((3, 3, 27, 3), 256),
    "huge": ((3, 3, 27, 3), 352),
}


def _read_convnext(given: Arguments) -> dict[str, Any]:
    depths, width = _CONVNEXTS[given.take("arch", "tiny")]
    given.fixed_act("GELU")
    given.fixed(gap_before_final_norm=False)
    return given.common() | {
        "depths": depths,
        "channels": tuple(width * 2**stage for stage in range(4)),
        "patch_size": given.take("stem_patch_size", 4),
        "drop_path": given.take("drop_path_rate", 0.0),
        "layer_scale_init": max(0.0, given.take("layer_scale_init_value", 1e-6)),
        "use_grn": given.take("use_grn", False),
        "conv_mlp": not given.take("linear_pw_conv", True),
        "norm_eps": given.layer_norm_eps(),
        "out_indices": given.indices((0, 1, 2, 3), 4),
    }


def _read_convnextv2(given: Arguments) -> dict[str, Any]:
    depths, width = _CONVNEXTS[given.take("arch", "tiny")]
    given.fixed_act("GELU")
    return given.common() | {
        "depths": depths,
        "channels": tuple(width * 2**stage for stage in range(4)),
        "drop_path": given.take("drop_path_rate", 0.0),
        "layer_scale_init": 0.0,
        "use_grn": True,
        "norm_eps": given.layer_norm_eps(1e-6),
        "out_indices": given.indices((0, 1, 2, 3), 4),
    }


def _convnext_rules(config: ConvNeXtFamilyConfig) -> Rules:
    """Of both versions, which name the same layers differently."""
    parts = {"depthwise_conv": "conv_dw", "norm": "norm", "pointwise_conv1": "mlp.fc1", "pointwise_conv2": "mlp.fc2"}
    parts |= {"dwconv": "conv_dw", "pwconv1": "mlp.fc1", "pwconv2": "mlp.fc2"}
    blocks = {f"stages.#.#.{theirs}": f"model.stages.#.blocks.#.{ours}" for theirs, ours in parts.items()}
    blocks |= {"stages.#.#": "model.stages.#.blocks.#", "stages.#.#.grn": "model.stages.#.blocks.#.mlp.grn"}
    between = staged({"downsample_layers.#.#": "model.stages.#.downsample.#"}, config)
    return between | {"downsample_layers.0.#": "model.stem.#"} | staged(blocks, config) | level_norms(config)


def _convnext_tensor(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if ".grn." in name:
        yield name.replace("gamma", "weight").replace("beta", "bias"), tensor.flatten()
    else:
        yield name, tensor


MAPS: Mapping[str, BackboneMap] = {
    "ConvNeXt": BackboneMap(ConvNeXtConfig, _read_convnext, by(_convnext_rules), _convnext_tensor),
    "ConvNeXtV2": BackboneMap(ConvNeXtV2Config, _read_convnextv2, by(_convnext_rules), _convnext_tensor),
}
