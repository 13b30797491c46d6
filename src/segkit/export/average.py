"""One model from several of the same kind: the mean of their weights (Wortsman et al., 2022, arXiv:2203.05482)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segkit.checkpoint import read_checkpoint, shape_text, write_checkpoint
from segkit.config.changes import changed_options
from segkit.errors import CheckpointError, some_of


def average_checkpoints(paths: Sequence[Path], target: Path) -> dict[str, Any]:
    """Writes the mean of the weights of two checkpoints or more; of their averages (ema) too, if all have one.

    Sums are taken in float64. Running statistics of batch normalisation are averaged like weights: right for
    checkpoints of one run, an approximation for several. What is no floating-point number takes the greatest value.
    The configuration is the first one's.

    Returns:
        What was written.

    Raises:
        CheckpointError: a file cannot be read, they are not of one model with the same classes, or ``target`` is one
            of them or cannot be written.
    """
    if len(paths) < 2:
        raise CheckpointError("an average needs two checkpoints or more")
    if target.resolve() in [path.resolve() for path in paths]:
        raise CheckpointError(f"{target}: is one of the checkpoints to average; name another output")
    first = read_checkpoint(paths[0])
    means = [_Mean(first["model"])] + ([_Mean(first["ema"])] if first.get("ema") else [])
    for path in paths[1:]:  # one file in memory at a time, whatever their number
        other = read_checkpoint(path)
        if other["classes"] != first["classes"]:
            lines = changed_options(_by_id(first["classes"]), _by_id(other["classes"]), "class")
            raise CheckpointError(f"{path}: other classes than {paths[0]}: {some_of(lines, 3, between='; ')}")
        means[0].add(other["model"], path, paths[0])
        if len(means) > 1 and other.get("ema"):
            means[1].add(other["ema"], path, paths[0])
        else:
            del means[1:]
    payload: dict[str, Any] = {
        "config": first["config"],
        "classes": first["classes"],
        "palette": first["palette"],
        "label_values": first.get("label_values") or {},
        "metrics": {},  # nobody has evaluated it yet
        "model": means[0].take(),
        "ema": means[1].take() if len(means) > 1 else None,
        "source": {"toolkit": "segkit", "file": ", ".join(map(str, paths)), "weights": "mean"},
    }
    write_checkpoint(target, payload)
    return payload


def _by_id(classes: Sequence[str]) -> dict[int, str]:
    return dict(enumerate(classes))


class _Mean:
    """The mean of state_dicts, taken in one by one."""

    def __init__(self, first: Mapping[str, Tensor]) -> None:
        self.first = first
        self.count = 1
        self.sums = {name: value.double() if value.is_floating_point() else value for name, value in first.items()}

    def add(self, weights: Mapping[str, Tensor], path: Path, base: Path) -> None:
        wrong = [
            f"{name} is {shape_text(weights[name])}, not {shape_text(value)}"
            if name in weights
            else f"{name} is absent"
            for name, value in self.first.items()
            if name not in weights or weights[name].shape != value.shape
        ]
        wrong += [f"{name} is not in {base}" for name in weights if name not in self.first]
        if wrong:
            raise CheckpointError(f"{path}: another model than {base}: {some_of(wrong, 3, between='; ')}")
        self.count += 1
        for name, value in weights.items():
            kept = self.sums[name]
            self.sums[name] = kept + value if value.is_floating_point() else torch.maximum(kept, value)

    def take(self) -> dict[str, Tensor]:
        return {
            name: (value / self.count).to(self.first[name].dtype) if value.is_floating_point() else value
            for name, value in self.sums.items()
        }
