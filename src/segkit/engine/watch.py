"""What all processes must agree on after each step: whether to go on. Never waits for the device's newest step."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from segkit import dist
from segkit.engine.step import StepOutcome

_NO_NORM = -1.0


@dataclass(frozen=True)
class Report:
    """One step, seen by all processes alike.

    Attributes:
        step: optimiser steps done, this one included.
        terms: the terms of the loss, averaged over the processes.
        stop: whether some process was asked to stop.
        grad_norm: norm of the gradients before clipping; None where it was not computed.
        seen: (255,) bool, the class ids that occur in the batch of any process.
        names: ids of this process's samples.
        bad_names: where the loss is not finite: ids of this process's samples if it is to blame; None if it is finite.
    """

    step: int
    terms: Mapping[str, float]
    stop: bool
    grad_norm: float | None
    seen: Tensor
    names: Sequence[str]
    bad_names: Sequence[str] | None

    @property
    def loss(self) -> float:
        """The sum of the terms."""
        return sum(self.terms.values())


class Watch:
    """Averages the terms of the loss over the processes and tells all of them the same, a step late on a GPU.

    The figures travel to the host while the next step runs, so reading them stops nothing; the processes read the
    same step at the same time, and so can act on it together.

    Args:
        device: where the terms are.
    """

    def __init__(self, device: torch.device) -> None:
        self.lag = 1 if device.type == "cuda" else 0
        self._pending: deque[tuple[int, tuple[str, ...], Sequence[str], Tensor, torch.cuda.Event | None]] = deque()

    def post(self, step: int, outcome: StepOutcome, *, stop: bool, names: Sequence[str]) -> None:
        """Sends the figures of a step on their way.

        Args:
            step: optimiser steps done.
            outcome: of this process; the terms have the same names in the same order on every one.
            stop: whether this process was asked to stop.
            names: ids of this process's samples.
        """
        values = torch.stack([term.float() for term in outcome.terms.values()])
        bad = (~values.isfinite().all()).float()
        asked = torch.full_like(bad, float(stop))
        shared = dist.mean_over_ranks(torch.cat([torch.stack([asked, bad]), values, outcome.seen.float()]))
        norm = torch.full_like(bad, _NO_NORM) if outcome.grad_norm is None else outcome.grad_norm.float()
        shared = torch.cat([shared, torch.stack([bad, norm])])
        event = None
        if shared.is_cuda:
            shared = torch.empty_like(shared, device="cpu", pin_memory=True).copy_(shared, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        self._pending.append((step, tuple(outcome.terms), names, shared, event))

    def ready(self) -> list[Report]:
        """The steps that can be read without waiting for the newest: on a GPU all but the last."""
        return self._read(self.lag)

    def all(self) -> list[Report]:
        """Every step not yet read; waits for the device."""
        return self._read(0)

    def _read(self, keep: int) -> list[Report]:
        reports = []
        while len(self._pending) > keep:
            step, keys, names, shared, event = self._pending.popleft()
            if event is not None:
                event.synchronize()
            stop, bad, *values = shared[: 2 + len(keys)].tolist()
            own, norm = shared[-2:].tolist()
            reports.append(
                Report(
                    step,
                    terms=dict(zip(keys, values, strict=True)),
                    stop=stop > 0,
                    grad_norm=None if norm == _NO_NORM else norm,
                    seen=shared[2 + len(keys) : -2] > 0,
                    names=names,
                    bad_names=(names if own else ()) if bad else None,
                )
            )
        return reports
