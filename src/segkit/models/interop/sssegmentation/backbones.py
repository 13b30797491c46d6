"""Backbones of SSSegmentation: arguments and parameter names."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from segkit.config.backbones import (
    BackboneConfig,
    ConvNeXtConfig,
    MixVisionTransformerConfig,
    MobileNetV2Config,
    MobileNetV3Config,
    ResNeStConfig,
    ResNetConfig,
    SwinTransformerConfig,
    TIMMBackboneConfig,
)
from segkit.config.component import CONFIGS
from segkit.config.layers import ActConfig, NormConfig
from segkit.config.spelling import hint
from segkit.errors import CheckpointError, ConfigError, Problem
from segkit.models.interop.sssegmentation.rules import Rules, rename

_DROPPED = ""
"""Our side of a rule whose tensors have no counterpart, or belong to stages that the config leaves out."""


def backbone_config(facts: Mapping[str, Any]) -> BackboneConfig:
    """Our config of the backbone that ``facts["backbone"]`` describes in their names.

    ``selected_indices``, which tells their segmentors what to read, becomes part of ``out_indices``.

    Raises:
        ConfigError: for a backbone or an argument that has no counterpart here.
    """
    arguments = dict(facts["backbone"])
    name = arguments.pop("type")
    if name not in _MAPS:
        text = f"no backbone here is {name}{hint(name, _MAPS)}; one of {', '.join(_MAPS)}"
        raise ConfigError([Problem("backbone.type", text)])
    reader = _Arguments(arguments)
    fields = _MAPS[name].read(reader)
    reader.finish()
    return _MAPS[name].config(**fields)


def backbone_state(state: Mapping[str, Tensor], config: BackboneConfig) -> dict[str, Tensor]:
    """Their backbone's tensors under our names; what the config cuts off, and buffers we compute, are left out.

    Args:
        state: their backbone's state_dict, without the segmentor's prefix.
        config: ours, of the same backbone.

    Raises:
        CheckpointError: that lists the names that have no counterpart.
    """
    entry = next(entry for entry in _MAPS.values() if entry.config is type(config))
    renamed = entry.rename(state, config)
    unknown = [name for name in state if name not in renamed]
    if unknown:
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        raise CheckpointError(f"not of this {entry.config.__name__}: {', '.join(unknown[:8])}{more}")
    ours: dict[str, Tensor] = {}
    for theirs, name in renamed.items():
        if not name.startswith("."):  # _DROPPED
            ours.update(entry.transform(name, state[theirs]))
    return ours


class _Arguments:
    """Their arguments; every one must be read, so that none is lost in silence."""

    IGNORED = ("structure_type", "arch_table", "num_fcs", "num_stages", "pretrain_img_size", "pretrained_model_path")

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._left = {name: value for name, value in arguments.items() if name not in self.IGNORED}
        self._problems: list[Problem] = []

    def take(self, name: str, default: Any) -> Any:
        """The value of an argument, or their default."""
        value = self._left.pop(name, default)
        return tuple(value) if isinstance(value, list) else value

    def fixed(self, **only: Any) -> None:
        """Arguments of which we have one value only."""
        for name, value in only.items():
            if (got := self.take(name, value)) != value:
                self._problems.append(Problem(f"backbone.{name}", f"must be {value!r} (got {got!r})"))

    def indices(self, default: Sequence[int], count: int) -> tuple[int, ...]:
        """Which maps are returned: those that their segmentor selects from those that the backbone returns."""
        returned = tuple(i % count for i in self.take("out_indices", default))
        selected = self.take("selected_indices", None)
        return returned if selected is None else tuple(returned[i] for i in selected)

    def common(self) -> dict[str, Any]:
        """Arguments that every backbone has."""
        return {
            "in_channels": self.take("in_channels", 3),
            "pretrained": bool(self.take("pretrained", False)),
            "grad_checkpointing": self.take("use_checkpoint", False),
        }

    def norm(self) -> NormConfig | None:
        """Their normalisation of convolutions; None if the segmentor's is used."""
        return _layer("norm", self.take("norm_cfg", None))

    def layer_norm_eps(self, default: float = 1e-5) -> float:
        """The eps of the layer normalisation that the architecture asks for."""
        given = self.take("norm_cfg", None) or {"type": "LayerNorm"}
        if not given["type"].startswith("LayerNorm"):
            self._problems.append(Problem("backbone.norm_cfg.type", f"must be LayerNorm (got {given['type']})"))
        return float(given.get("eps", default))

    def act(self, own: str) -> ActConfig | None:
        """Their activation; None if it is the architecture's own."""
        given = self.take("act_cfg", None)
        return None if given is None or given["type"] == own else _layer("act", given)

    def fixed_act(self, own: str) -> None:
        """Their activation, where we have the architecture's own only."""
        if (given := self.take("act_cfg", {"type": own})["type"]) != own:
            self._problems.append(Problem("backbone.act_cfg.type", f"must be {own} (got {given})"))

    def finish(self) -> None:
        """Raises what was wrong, and all that nobody has read."""
        unread = [Problem(f"backbone.{name}", "has no counterpart here") for name in self._left]
        if problems := self._problems + unread:
            raise ConfigError(problems)


def _layer(group: str, given: Mapping[str, Any] | None) -> Any:
    if given is None:
        return None
    name = {"Swish": "SiLU"}.get(given["type"], given["type"])
    if name not in CONFIGS[group]:
        raise ConfigError([Problem(f"backbone.{group}_cfg.type", f"{name} has no counterpart here")])
    return CONFIGS[group][name](**{k: v for k, v in given.items() if k not in ("type", "inplace")})


Transform = Callable[[str, Tensor], Iterator[tuple[str, Tensor]]]


def _as_is(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield name, tensor


class _Map(NamedTuple):
    """How one of their backbones becomes one of ours: arguments, parameter names, and values stored in another form."""

    config: type[BackboneConfig]
    read: Callable[[_Arguments], dict[str, Any]]
    rename: Callable[[Iterable[str], Any], dict[str, str]]
    transform: Transform = _as_is


def _by(rules: Callable[[Any], Rules]) -> Callable[[Iterable[str], Any], dict[str, str]]:
    return lambda names, config: rename(names, rules(config))


def _staged(rules: Rules, config: Any, first: int = 0) -> Rules:
    """Spells out the first ``#`` of each rule for the stages there are; those behind the last one are dropped."""
    last = max(config.out_indices)
    spelled = {}
    for theirs, ours in rules.items():
        for stage in range(4):
            target = ours.replace("#", str(stage + first), 1) if stage <= last else _DROPPED
            spelled[theirs.replace("#", str(stage + first), 1)] = target
    return spelled


def _level_norms(config: Any) -> Rules:
    return {f"norm{i}": f"norms.{i}" if i in config.out_indices else _DROPPED for i in range(4)}


def _read_resnet(given: _Arguments) -> dict[str, Any]:
    return given.common() | {
        "depth": given.take("depth", 101),
        "output_stride": given.take("outstride", 8),
        "deep_stem": given.take("use_conv3x3_stem", True),
        "stem_channels": given.take("stem_channels", 64),
        "base_channels": given.take("base_channels", 64),
        "contract_dilation": given.take("contract_dilation", True),
        "avg_down": given.take("use_avg_for_downsample", False),
        "style": given.take("style", "pytorch"),
        "out_indices": given.indices((0, 1, 2, 3), 4),
        "norm": given.norm(),
        "act": given.act("ReLU"),
    }


def _resnet_rules(config: ResNetConfig) -> Rules:
    plain = {"conv1": "model.conv1", "bn1": "model.bn1"}
    return (_deep_stem_rules() if config.deep_stem else plain) | _residual_rules(config)


def _deep_stem_rules() -> Rules:
    return {f"stem.{i}": f"model.conv1.{i}" for i in (0, 1, 3, 4, 6)} | {"stem.7": "model.bn1"}


def _residual_rules(config: ResNetConfig | ResNeStConfig) -> Rules:
    names = ("layer#.#.conv#", "layer#.#.bn#", "layer#.#.downsample.#")
    return _staged({name: f"model.{name}" for name in names}, config, first=1)


def _read_resnest(given: _Arguments) -> dict[str, Any]:
    given.fixed(groups=1, base_width=4, radix=2, reduction_factor=4, use_avg_after_block_conv2=True)
    given.fixed(use_conv3x3_stem=True, use_avg_for_downsample=True, base_channels=64, style="pytorch")
    given.fixed_act("ReLU")
    return given.common() | {
        "depth": given.take("depth", 101),
        "output_stride": given.take("outstride", 8),
        "stem_channels": given.take("stem_channels", 128),
        "contract_dilation": given.take("contract_dilation", True),
        "out_indices": given.indices((0, 1, 2, 3), 4),
        "norm": given.norm(),
    }


def _resnest_rules(config: ResNeStConfig) -> Rules:
    inside = ("conv", "bn0", "fc1", "bn1", "fc2")
    split = {f"layer#.#.conv2.{part}": f"model.layer#.#.conv2.{part}" for part in inside}
    return _deep_stem_rules() | _residual_rules(config) | _staged(split, config, first=1)


def _read_mobilenetv2(given: _Arguments) -> dict[str, Any]:
    return given.common() | {
        "width": float(given.take("widen_factor", 1)),
        "output_stride": given.take("outstride", 8),
        "out_indices": given.indices((1, 2, 4, 6), 7),
        "norm": given.norm(),
        "act": given.act("ReLU6"),
    }


def _mobilenetv2_rules(config: MobileNetV2Config) -> Rules:
    rules = {"conv1.conv": "model.conv_stem", "conv1.bn": "model.bn1"}
    for stage in range(7):
        convs = ("conv_dw", "conv_pw") if stage == 0 else ("conv_pw", "conv_dw", "conv_pwl")
        for i, conv in enumerate(convs):
            for theirs, ours in (("conv", conv), ("bn", f"bn{i + 1}")):
                target = f"model.blocks.{stage}.#.{ours}" if stage <= max(config.out_indices) else _DROPPED
                rules[f"layer{stage + 1}.#.conv.{i}.{theirs}"] = target
    return rules


def _read_mobilenetv3(given: _Arguments) -> dict[str, Any]:
    arch = given.take("arch_type", "large")
    given.fixed_act("HardSwish")
    count = {"large": 17, "small": 13}[arch]
    return given.common() | {
        "arch": arch,
        "output_stride": given.take("outstride", 8),
        "reduction_factor": given.take("reduction_factor", 1),
        "out_indices": given.indices((1, 3, 16), count),
        "norm": given.norm(),
    }


def _mobilenetv3_rules(config: MobileNetV3Config) -> Rules:
    rules = {"layer0.conv": "model.conv_stem", "layer0.bn": "model.bn1"}
    lengths = {"large": (1, 2, 3, 4, 2, 3, 1), "small": (1, 2, 3, 2, 3, 1)}[config.arch]
    places = [f"model.blocks.{stage}.{i}" for stage, length in enumerate(lengths) for i in range(length)]
    expands = {"expand_conv": "conv_pw", "depthwise_conv": "conv_dw", "linear_conv": "conv_pwl"}
    first = {"depthwise_conv": "conv_dw", "linear_conv": "conv_pw"}  # it does not expand
    for layer, place in enumerate(places, 1):
        parts = {f"se.conv{i}.conv": f"{place}.se.conv_{name}" for i, name in ((1, "reduce"), (2, "expand"))}
        for i, (theirs, ours) in enumerate((first if layer == 1 else expands).items(), 1):
            parts |= {f"{theirs}.conv": f"{place}.{ours}", f"{theirs}.bn": f"{place}.bn{i}"}
        if layer == len(places):
            parts = {"conv": f"{place}.conv", "bn": f"{place}.bn1"}
        kept = layer <= max(config.layers)
        rules |= {f"layer{layer}.{theirs}": ours if kept else _DROPPED for theirs, ours in parts.items()}
    return rules


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


def _read_convnext(given: _Arguments) -> dict[str, Any]:
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


def _read_convnextv2(given: _Arguments) -> dict[str, Any]:
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


def _convnext_rules(config: ConvNeXtConfig) -> Rules:
    """Of both versions, which name the same layers differently."""
    parts = {"depthwise_conv": "conv_dw", "norm": "norm", "pointwise_conv1": "mlp.fc1", "pointwise_conv2": "mlp.fc2"}
    parts |= {"dwconv": "conv_dw", "pwconv1": "mlp.fc1", "pwconv2": "mlp.fc2"}
    blocks = {f"stages.#.#.{theirs}": f"model.stages.#.blocks.#.{ours}" for theirs, ours in parts.items()}
    blocks |= {"stages.#.#": "model.stages.#.blocks.#", "stages.#.#.grn": "model.stages.#.blocks.#.mlp.grn"}
    between = _staged({"downsample_layers.#.#": "model.stages.#.downsample.#"}, config)
    return between | {"downsample_layers.0.#": "model.stem.#"} | _staged(blocks, config) | _level_norms(config)


def _convnext_tensor(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if ".grn." in name:
        yield name.replace("gamma", "weight").replace("beta", "bias"), tensor.flatten()
    else:
        yield name, tensor


def _read_swin(given: _Arguments) -> dict[str, Any]:
    given.fixed_act("GELU")
    given.fixed(patch_size=4, strides=(4, 2, 2, 2), qk_scale=None, patch_norm=True, use_abs_pos_embed=False)
    return given.common() | {
        "embed_dim": given.take("embed_dims", 96),
        "depths": given.take("depths", (2, 2, 6, 2)),
        "num_heads": given.take("num_heads", (3, 6, 12, 24)),
        "window_size": given.take("window_size", 7),
        "mlp_ratio": float(given.take("mlp_ratio", 4)),
        "qkv_bias": given.take("qkv_bias", True),
        "dropout": given.take("drop_rate", 0.0),
        "attention_dropout": given.take("attn_drop_rate", 0.0),
        "drop_path": given.take("drop_path_rate", 0.1),
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
    rules |= _staged(blocks, config) | _level_norms(config)
    for stage in range(3):  # they merge at the end of a stage, timm at the start of the next
        for part in ("norm", "reduction"):
            target = f"model.layers.{stage + 1}.downsample.{part}" if stage < max(config.out_indices) else _DROPPED
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


def _read_mit(given: _Arguments) -> dict[str, Any]:
    given.fixed_act("GELU")
    given.fixed(patch_sizes=(7, 3, 3, 3), strides=(4, 2, 2, 2))
    return given.common() | {
        "embed_dim": given.take("embed_dims", 64),
        "depths": given.take("num_layers", (3, 4, 6, 3)),
        "num_heads": given.take("num_heads", (1, 2, 4, 8)),
        "sr_ratios": given.take("sr_ratios", (8, 4, 2, 1)),
        "mlp_ratio": float(given.take("mlp_ratio", 4)),
        "qkv_bias": given.take("qkv_bias", True),
        "dropout": given.take("drop_rate", 0.0),
        "attention_dropout": given.take("attn_drop_rate", 0.0),
        "drop_path": given.take("drop_path_rate", 0.0),
        "norm_eps": given.layer_norm_eps(1e-6),
        "out_indices": given.indices((0, 1, 2, 3), 4),
    }


def _mit_rules(config: MixVisionTransformerConfig) -> Rules:
    parts = {
        "norm1": "norm1",
        "norm2": "norm2",
        "attn.attn": "attn",
        "attn.attn.out_proj": "attn.proj",
        "attn.sr": "attn.sr",
        "attn.norm": "attn.norm",
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
    return _staged(patches, config) | first | _staged(blocks | {"layers.#.2": "model.stages.#.norm"}, config)


def _mit_tensor(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if match := re.fullmatch(r"(.*)\.in_proj_(weight|bias)", name):
        owner, leaf = match.groups()
        query, key, value = tensor.chunk(3)
        yield f"{owner}.q.{leaf}", query
        yield f"{owner}.kv.{leaf}", torch.cat([key, value])
    elif re.search(r"mlp\.fc\d\.weight$", name):
        yield name, tensor.flatten(1)  # their linear layers are 1x1 convolutions
    else:
        yield name, tensor


def _read_timm(given: _Arguments) -> dict[str, Any]:
    given.fixed(features_only=True)
    extra = dict(given.take("extra_args", {}))
    indices = extra.pop("out_indices", None)
    selected = given.take("selected_indices", None)
    if selected is not None:
        indices = [indices[i] if indices else i for i in selected]
    return given.common() | {
        "model_name": given.take("model_name", None),
        "output_stride": extra.pop("output_stride", None),
        "out_indices": None if indices is None else tuple(indices),
        "norm": given.norm(),
        "kwargs": extra,
    }


def _timm_names(names: Iterable[str], config: TIMMBackboneConfig) -> dict[str, str]:
    """Their feature extractor flattens the outermost Sequentials: ``stages_0`` is timm's ``stages.0``."""
    inner = {name: name.removeprefix("timm_model.") for name in names if name.startswith("timm_model.")}
    return {name: "model." + re.sub(r"^([a-z]+)_(\d+)\.", r"\1.\2.", rest) for name, rest in inner.items()}


_MAPS: Mapping[str, _Map] = {
    "ResNet": _Map(ResNetConfig, _read_resnet, _by(_resnet_rules)),
    "ResNeSt": _Map(ResNeStConfig, _read_resnest, _by(_resnest_rules)),
    "MobileNetV2": _Map(MobileNetV2Config, _read_mobilenetv2, _by(_mobilenetv2_rules)),
    "MobileNetV3": _Map(MobileNetV3Config, _read_mobilenetv3, _by(_mobilenetv3_rules)),
    "ConvNeXt": _Map(ConvNeXtConfig, _read_convnext, _by(_convnext_rules), _convnext_tensor),
    "ConvNeXtV2": _Map(ConvNeXtConfig, _read_convnextv2, _by(_convnext_rules), _convnext_tensor),
    "SwinTransformer": _Map(SwinTransformerConfig, _read_swin, _by(_swin_rules), _swin_tensor),
    "MixVisionTransformer": _Map(MixVisionTransformerConfig, _read_mit, _by(_mit_rules), _mit_tensor),
    "TIMMBackbone": _Map(TIMMBackboneConfig, _read_timm, _timm_names),
}
"""Their backbones that we have."""
