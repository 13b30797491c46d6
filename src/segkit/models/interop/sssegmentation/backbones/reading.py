"""What the families of backbones share: reading their arguments, and naming what becomes of their parameters."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from segkit.config.backbones import BackboneConfig
from segkit.config.component import CONFIGS
from segkit.config.layers import ActConfig, NormConfig
from segkit.errors import ConfigError, Problem
from segkit.models.interop.sssegmentation.rules import Rules, rename

DROPPED = ""
"""Our side of a rule whose tensors have no counterpart, or belong to stages that the config leaves out."""

REDUCING_BLOCK: Mapping[str, str] = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.attn": "attn",
    "attn.attn.out_proj": "attn.proj",
    "attn.sr": "attn.sr",
    "attn.norm": "attn.norm",
}
"""Parts of a block whose queries look at fewer keys and values, before its feed forward network."""

SHARED_SLOPE: Mapping[str, Mapping[str, Any]] = {"PReLU": {"per_channel": False}}
"""torch's own default, where we have a slope for each channel."""


class Arguments:
    """Their arguments; every one must be read, so that none is lost in silence.

    Args:
        arguments: by name, without ``type``.
        path: where they stand, for messages.
    """

    IGNORED = ("structure_type", "arch_table", "num_fcs", "num_stages", "pretrain_img_size", "pretrained_model_path")

    def __init__(self, arguments: Mapping[str, Any], path: str = "backbone") -> None:
        self._path = path
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
                self._problems.append(Problem(f"{self._path}.{name}", f"must be {value!r} (got {got!r})"))

    def agree(self, name: str, got: Any, wanted: Any) -> None:
        """Notes that an argument must be what others make it."""
        if got != wanted:
            self._problems.append(Problem(f"{self._path}.{name}", f"must be {wanted!r} (got {got!r})"))

    def fixed_by_stage(self, stages: int, **only: tuple[Any, ...]) -> None:
        """The same for arguments with a value for each stage; theirs may have more values than stages."""
        for name, values in only.items():
            if (got := tuple(self.take(name, values)))[:stages] != values[:stages]:
                wanted = values[:stages]
                self._problems.append(Problem(f"{self._path}.{name}", f"must be {wanted!r} (got {got!r})"))

    def indices(self, default: Sequence[int], count: int) -> tuple[int, ...]:
        """Which maps are returned: those that their segmentor selects from those that the backbone returns."""
        returned = tuple(i % count for i in self.take("out_indices", default))
        selected = self.take("selected_indices", None)
        return returned if selected is None else tuple(returned[i] for i in selected)

    def common(self) -> dict[str, Any]:
        """Arguments that every backbone has."""
        channels = self.take("in_channels", 3)
        return {
            "in_channels": None if channels == 3 else channels,  # as here, where the images tell
            "pretrained": bool(self.take("pretrained", False)),
            "grad_checkpointing": self.take("use_checkpoint", False),
        }

    def dropouts(self, *, drop_path: float) -> dict[str, float]:
        """Shares that a transformer drops in training; ``drop_path`` is their default."""
        return {
            "dropout": self.take("drop_rate", 0.0),
            "attention_dropout": self.take("attn_drop_rate", 0.0),
            "drop_path": self.take("drop_path_rate", drop_path),
        }

    def norm(self) -> NormConfig | None:
        """Their normalisation of convolutions; None if the segmentor's is used."""
        return self.layer("norm", self.take("norm_cfg", None))

    def layer_norm_eps(self, default: float = 1e-5) -> float:
        """The eps of the layer normalisation that the architecture asks for."""
        given = self.take("norm_cfg", None) or {"type": "LayerNorm"}
        if not given["type"].startswith("LayerNorm"):
            self._problems.append(Problem(f"{self._path}.norm_cfg.type", f"must be LayerNorm (got {given['type']})"))
        return float(given.get("eps", default))

    def act(self, own: str) -> ActConfig | None:
        """Their activation; None if it is the architecture's own."""
        given = self.take("act_cfg", None)
        return None if given is None or given["type"] == own else self.layer("act", given)

    def fixed_act(self, own: str) -> None:
        """Their activation, where we have the architecture's own only."""
        if (given := self.take("act_cfg", {"type": own})["type"]) != own:
            self._problems.append(Problem(f"{self._path}.act_cfg.type", f"must be {own} (got {given})"))

    def layer(self, group: str, given: Mapping[str, Any] | None) -> Any:
        """Our config of their norm_cfg or act_cfg; None if there is none."""
        if given is None:
            return None
        name = {"Swish": "SiLU"}.get(given["type"], given["type"])
        if name not in CONFIGS[group]:
            raise ConfigError([Problem(f"{self._path}.{group}_cfg.type", f"{name} has no counterpart here")])
        fields = {k: v for k, v in given.items() if k not in ("type", "inplace")}
        return CONFIGS[group][name](**{**SHARED_SLOPE.get(name, {}), **fields})

    def finish(self) -> None:
        """Raises what was wrong, and all that nobody has read."""
        unread = [Problem(f"{self._path}.{name}", "has no counterpart here") for name in self._left]
        if problems := self._problems + unread:
            raise ConfigError(problems)


Transform = Callable[[str, Tensor], Iterator[tuple[str, Tensor]]]


def as_is(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The usual transform: values are stored as ours are."""
    yield name, tensor


def query_apart(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Cuts what makes queries, keys and values of an attention: the queries' share has a layer of its own here."""
    if match := re.fullmatch(r"(.*)\.in_proj_(weight|bias)", name):
        owner, leaf = match.groups()
        query, key, value = tensor.chunk(3)
        yield f"{owner}.q.{leaf}", query
        yield f"{owner}.kv.{leaf}", torch.cat([key, value])
    else:
        yield name, tensor


class BackboneMap(NamedTuple):
    """How one of their backbones becomes one of ours: arguments, parameter names, and values stored in another form."""

    config: type[BackboneConfig]
    read: Callable[[Arguments], dict[str, Any]]
    rename: Callable[[Iterable[str], Any], dict[str, str]]
    transform: Transform = as_is


def by(rules: Callable[[Any], Rules]) -> Callable[[Iterable[str], Any], dict[str, str]]:
    """Renaming by rules that depend on our config."""
    return lambda names, config: rename(names, rules(config))


def staged(rules: Rules, config: Any, first: int = 0) -> Rules:
    """Spells out the first ``#`` of each rule for the stages there are; those behind the last one are dropped."""
    last = max(config.out_indices)
    spelled = {}
    for theirs, ours in rules.items():
        for stage in range(4):
            target = ours.replace("#", str(stage + first), 1) if stage <= last else DROPPED
            spelled[theirs.replace("#", str(stage + first), 1)] = target
    return spelled


def dropped_unless(built: bool, rules: Rules) -> Rules:
    """The same rules, or with their tensors dropped, where the config leaves these parts out."""
    return rules if built else dict.fromkeys(rules, DROPPED)


def level_norms(config: Any) -> Rules:
    """The normalisation of each returned map."""
    return {f"norm{i}": f"norms.{i}" if i in config.out_indices else DROPPED for i in range(4)}
