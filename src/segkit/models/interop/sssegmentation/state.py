"""A state_dict of SSSegmentation to ours."""

from collections.abc import Mapping

from torch import Tensor

from segkit.config.component import type_name
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import CheckpointError, some_of
from segkit.models.interop.sssegmentation.backbones import backbone_state
from segkit.models.interop.sssegmentation.head_map import ENLARGING
from segkit.models.interop.sssegmentation.heads import map_of
from segkit.models.interop.sssegmentation.necks import neck_rules
from segkit.models.interop.sssegmentation.rules import DROPPED, Rules, prefixed, rename

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
    prefix = map_of(config.head).backbone_prefix
    backbone = {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}
    rest = [name for name in state if not name.startswith(prefix)]
    renamed = rename(rest, _rules(config))
    converted = {ours: state[theirs] for theirs, ours in renamed.items() if not ours.startswith(DROPPED)}
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
    known = map_of(config.head)
    rules: Rules = {}
    for i, (name, aux) in enumerate(config.auxiliary.items()):
        for entry in (known.auxiliary, ENLARGING):
            if type_name(type(aux.head)) == entry.fixed["type"]:
                theirs = entry.rules(aux.head, i, len(config.auxiliary))
                rules |= prefixed(theirs, known.prefix, f"auxiliary.{name}.")
                break
    rules |= prefixed(known.rules(config.head), known.prefix, "head.")
    return rules | prefixed(neck_rules(config.head.neck), "", "neck.")


def _listing(problems: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{len(names)} {kind} ({some_of(names, _SHOWN)})" for kind, names in problems.items() if names)
