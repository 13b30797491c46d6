"""How far a training has come."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Progress:
    """A position between two steps.

    Attributes:
        step: optimiser steps done.
        evaluated_step: steps that were done at the last finished evaluation.
        time_s: seconds spent, earlier parts of a resumed run included.
        best_value: the best monitored metric so far, None before the first evaluation.
        best_epoch: passes done when it was reached.
        best_step: steps done when it was reached.
    """

    step: int = 0
    evaluated_step: int = 0
    time_s: float = 0.0
    best_value: float | None = None
    best_epoch: int = 0
    best_step: int = 0

    def to_plain(self) -> dict[str, Any]:
        """For the checkpoint."""
        return asdict(self)

    @classmethod
    def from_plain(cls, tree: Mapping[str, Any]) -> Self:
        """From the checkpoint."""
        return cls(**tree)
