"""Where two checkpoints differ: options, classes, figures, and every tensor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from segkit.checkpoint import shape_text
from segkit.config.changes import changed_options


@dataclass(frozen=True)
class TensorDifference:
    """One tensor that is not the same in both.

    Attributes:
        name: of the tensor, under ``model`` or ``ema``.
        text: what differs, where the values cannot be compared; "" where they can.
        most: the greatest |difference|; nan where only one has a number.
        scale: the greatest |value| in the first.
        share: of the values that differ.
    """

    name: str
    text: str = ""
    most: float = 0.0
    scale: float = 0.0
    share: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found.

    Attributes:
        options: ``path: first -> second`` of the configurations.
        facts: the same of classes, progress and metrics.
        tensors: those that differ, the greatest difference first.
        same: tensors that are equal to the last bit.
    """

    options: list[str]
    facts: list[str]
    tensors: list[TensorDifference]
    same: int

    @property
    def is_empty(self) -> bool:
        """Whether the two are the same."""
        return not (self.options or self.facts or self.tensors)


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    """Compares what two checkpoints hold; the states of optimisers are left out."""
    facts = [
        line
        for key in ("classes", "progress", "metrics")
        for line in changed_options(_facts(first, key), _facts(second, key), key)
    ]
    tensors: list[TensorDifference] = []
    same = 0
    for part in ("model", "ema"):
        mine, theirs = first.get(part) or {}, second.get(part) or {}
        for name in dict.fromkeys([*mine, *theirs]):
            found = _compare(f"{part}.{name}", mine.get(name), theirs.get(name))
            if found is None:
                same += 1
            else:
                tensors.append(found)
    tensors.sort(key=lambda found: (not found.text, -found.most if found.most == found.most else -torch.inf))
    return Comparison(changed_options(first["config"], second["config"]), facts, tensors, same)


def _facts(payload: Mapping[str, Any], key: str) -> Any:
    value = payload.get(key)
    if key == "classes" and value is not None:
        return {str(index): name for index, name in enumerate(value)}
    return {k: v for k, v in (value or {}).items() if k != "time_s" and v == v}  # nan is not nan


def _compare(name: str, mine: Tensor | None, theirs: Tensor | None) -> TensorDifference | None:
    if mine is None or theirs is None:
        return TensorDifference(name, f"only in the {'second' if mine is None else 'first'}")
    if mine.shape != theirs.shape:
        return TensorDifference(name, f"{shape_text(mine)} -> {shape_text(theirs)}")
    if mine.dtype != theirs.dtype:
        return TensorDifference(name, f"{mine.dtype} -> {theirs.dtype}".replace("torch.", ""))
    if torch.equal(mine, theirs) or not mine.numel():
        return None
    a, b = mine.double(), theirs.double()
    unequal = (a != b) & ~(a.isnan() & b.isnan())
    if not unequal.any():
        return None
    return TensorDifference(
        name,
        most=(a - b)[unequal].abs().max().item(),
        scale=a.abs().nan_to_num(0.0).max().item(),
        share=unequal.double().mean().item(),
    )
