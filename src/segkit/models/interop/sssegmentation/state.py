"""A state_dict of SSSegmentation to ours."""

from collections.abc import Mapping

from torch import Tensor

from segkit.config.heads import FCNConfig, Feature2PyramidConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import CheckpointError
from segkit.models.interop.sssegmentation.backbones import backbone_state
from segkit.models.interop.sssegmentation.heads import fcn_rules, feature2pyramid_rules, rules_for
from segkit.models.interop.sssegmentation.rules import Rules, prefixed, rename

_BACKBONE = "backbone_net."
_SHOWN = 8
"""Names of each kind that an error lists."""


def convert_state(
    state: Mapping[str, Tensor], config: SegmentorConfig, expected: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Their parameters and buffers under our names.

    Args:
        state: their state_dict.
        config: ours, of the same model.
        expected: the state_dict of the model to load; names and shapes are then compared with it.

    Raises:
        CheckpointError: that lists the names that are unknown, and those missing or misshapen in ``expected``.
    """
    backbone = {name.removeprefix(_BACKBONE): x for name, x in state.items() if name.startswith(_BACKBONE)}
    rest = [name for name in state if not name.startswith(_BACKBONE)]
    renamed = rename(rest, _rules(config))
    converted = {ours: state[theirs] for theirs, ours in renamed.items()}
    problems = {"unknown": [name for name in rest if name not in renamed]}
    try:
        converted |= {f"backbone.{name}": x for name, x in backbone_state(backbone, config.backbone).items()}
    except CheckpointError as error:  # told together with what is wrong with the heads
        problems["unfit for the backbone"] = [str(error)]
        expected = {name: x for name, x in (expected or {}).items() if not name.startswith("backbone.")}
    if expected is not None:
        problems |= _unlike(converted, expected)
    if any(problems.values()):
        raise CheckpointError(f"not the weights of this model: {_listing(problems)}")
    return converted


def _unlike(converted: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, list[str]]:
    return {
        "not in the model": [name for name in converted if name not in expected],
        "missing": [name for name in expected if name not in converted],
        "of another shape": [
            f"{name} {tuple(x.shape)} for {tuple(expected[name].shape)}"
            for name, x in converted.items()
            if name in expected and x.shape != expected[name].shape
        ],
    }


def _rules(config: SegmentorConfig) -> Rules:
    rules = prefixed(rules_for(config.head), "", "head.")
    if isinstance(config.head.neck, Feature2PyramidConfig):
        rules |= prefixed(feature2pyramid_rules(config.head.neck.rescales), "", "neck.")
    for i, (name, aux) in enumerate(config.auxiliary.items()):
        theirs = "auxiliary_decoder" if len(config.auxiliary) == 1 else f"auxiliary_decoder.{i}"
        if isinstance(aux.head, FCNConfig):
            rules |= prefixed(fcn_rules(aux.head, theirs), "", f"auxiliary.{name}.")
    return rules


def _listing(problems: Mapping[str, list[str]]) -> str:
    parts = []
    for kind, names in problems.items():
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            parts.append(f"{len(names)} {kind} ({', '.join(names[:_SHOWN])}{more})")
    return "; ".join(parts)
