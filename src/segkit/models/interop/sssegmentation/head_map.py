"""What is told of each of their segmentors: arguments, losses, auxiliary heads, parameter names."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from segkit.config.heads import FCNConfig, HeadConfig, SETRUPConfig
from segkit.models.interop.sssegmentation.rules import Rules, conv_norm_act, separable

Tree = Mapping[str, Any]
_NOTHING: Tree = MappingProxyType({})
_FCN_ARGUMENTS = MappingProxyType({"out_channels": "channels", "num_convs": "num_convs", "dropout": "dropout"})
_FCN: Tree = MappingProxyType({"type": "FCN", "num_convs": 1})


def fcn_rules(config: FCNConfig, sequential: str = "decoder") -> Rules:
    """A stack of convolutions and a classifier in one Sequential; auxiliary heads have the same form."""
    if config.depthwise:
        convs = [separable(f"{sequential}.{i}", f"convs.{i}") for i in range(config.num_convs)]
        last = config.num_convs + 1
    else:
        convs = [conv_norm_act(sequential, f"convs.{i}", 3 * i) for i in range(config.num_convs)]
        last = 3 * config.num_convs + 1
    rules: Rules = {f"{sequential}.{last}": "classify.1"}
    for conv in convs:
        rules |= conv
    return rules


def enlarging_rules(config: SETRUPConfig, sequential: str) -> Rules:
    """Convolutions, each followed by an upsampling, and a classifier in one Sequential."""
    rules: Rules = {f"{sequential}.{4 * config.num_convs + 1}": "classify.1"}
    for i in range(config.num_convs):
        rules |= conv_norm_act(sequential, f"convs.{i}", 4 * i)
    return rules


def _auxiliary_name(index: int, count: int) -> str:
    return "auxiliary_decoder" if count == 1 else f"auxiliary_decoder.{index}"


def _auxiliary_fcn(config: Any, index: int, count: int) -> Rules:
    return fcn_rules(config, _auxiliary_name(index, count))


def _auxiliary_enlarging(config: Any, index: int, count: int) -> Rules:
    return enlarging_rules(config, _auxiliary_name(index, count))


class AuxiliaryMap(NamedTuple):
    """How their auxiliary decoders become our auxiliary heads.

    Attributes:
        fixed: fields that make our head their decoder, its type among them.
        arguments: their argument -> our field.
        level: (index, count) -> level of the feature that is read.
        rules: (config, index, count) -> renaming of one decoder's parameters.
    """

    fixed: Tree = _FCN
    arguments: Mapping[str, str] = _FCN_ARGUMENTS
    level: Callable[[int, int], int] = lambda index, count: index - count - 1
    rules: Callable[[Any, int, int], Rules] = _auxiliary_fcn


ENLARGING = AuxiliaryMap(
    MappingProxyType({"type": "SETRUP", "input_norm": False, "upsample": "nearest", "num_convs": 1}),
    MappingProxyType({**_FCN_ARGUMENTS, "upsample.scale_factor": "scale_factor", "upsample.mode": "upsample"}),
    rules=_auxiliary_enlarging,
)
"""Of any segmentor, auxiliary decoders that are told to ``upsample``."""


class HeadMap(NamedTuple):
    """How one of their segmentors becomes one of our heads.

    Names of arguments and fields may be paths into what is nested: ``extra.add_lateral``, ``neck.channels``.

    Attributes:
        config: our config class.
        arguments: their argument -> our field; "" where it follows from other parts.
        rules: our config -> renaming of all parameters that are neither backbone's, neck's nor auxiliary heads'.
        fixed: fields that make our head this segmentor.
        outputs: further output of our head -> field with the factor of its loss; 0 where they have no such loss.
        own_losses: of those, the ones whose loss the head brings along -> that loss; the others must take the main one.
        own_options: of those, the options of the loss that are ours to choose -> field.
        auxiliary: how their auxiliary decoders become ours.
        losses: their loss -> our output, where the names differ (see ``output_of``); None where the head brings all
            of its losses along, and theirs are none.
        convert: field -> function of their argument, where the values differ.
        decoder: argument of their auxiliary decoder -> our field, where that decoder is a part of our head.
        backbone: fields of the backbone's config that belong to this segmentor.
        prefix: what the names of the head's and the auxiliary heads' parameters begin with.
        backbone_prefix: what the names of the backbone's parameters begin with.
    """

    config: type[HeadConfig]
    arguments: Mapping[str, str]
    rules: Callable[[Any], Rules]
    fixed: Tree = _NOTHING
    outputs: Mapping[str, str] = _NOTHING
    own_losses: Mapping[str, Tree] = _NOTHING
    own_options: Mapping[str, Mapping[str, str]] = _NOTHING
    auxiliary: AuxiliaryMap = AuxiliaryMap()
    losses: Mapping[str, str] | None = _NOTHING
    convert: Mapping[str, Callable[[Any], Any]] = _NOTHING
    decoder: Mapping[str, str] = _NOTHING
    backbone: Tree = _NOTHING
    prefix: str = ""
    backbone_prefix: str = "backbone_net."
