"""How far a training has come."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self


@dataclass(frozen=True)
class Progress:
    """A position between two steps; epochs and steps are counted from 0.

    Attributes:
        epoch: passes over the training split that are finished, evaluation included.
        step_in_epoch: steps done of the present pass; all of them while its evaluation is due.
        step: optimiser steps done.
        time_s: seconds spent, earlier parts of a resumed run included.
        best_value: the best monitored metric so far, None before the first evaluation.
        best_epoch: passes done when it was reached.
        best_step: steps done when it was reached.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    time_s: float = 0.0
    best_value: float | None = None
    best_epoch: int = 0
    best_step: int = 0

    def after_step(self) -> Self:
        """One step further."""
        return replace(self, step=self.step + 1, step_in_epoch=self.step_in_epoch + 1)

    def after_epoch(self) -> Self:
        """At the beginning of the next pass."""
        return replace(self, epoch=self.epoch + 1, step_in_epoch=0)

    def to_plain(self) -> dict[str, Any]:
        """For the checkpoint."""
        return asdict(self)

    @classmethod
    def from_plain(cls, tree: Mapping[str, Any]) -> Self:
        """From the checkpoint."""
        return cls(**tree)
