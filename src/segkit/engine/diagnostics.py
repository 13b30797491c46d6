"""What looks wrong in a running training: said once, with the remedy. Nothing here ends the run."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from segkit import dist
from segkit.config.training import DataloaderConfig
from segkit.engine.watch import Report
from segkit.errors import some_of
from segkit.optim.schedulers import Scheduler

_SHOWN = 8
_SLOW_DATA = 0.25
"""Share of the time spent waiting for batches that is worth a word."""
_PATIENCE_S = 20.0
"""Workers take their time to start, and a busy disk may be a passing thing."""
_TINY_SCALE = 2.0**-8
"""A loss scale below this one means that gradients overflow whatever the scaler tries."""
_PROBES = 1000
_SAMPLED = 16
"""Weights, spread over the model, of which a few rows are compared."""
_ROWS = 4
_WINDOW = 20
"""Steps between the comparison's ends: float16's scaler may leave out some, and a batch may teach nothing."""
_STILL = 0.01
"""Share of numbers that change in spite of a vanishing rate: those near 0, which resolve any update."""


class Movement:
    """Compares a few weights before and after some steps, once: a log line takes a copy, and a later one looks again.

    Args:
        optimizer: whose weights; frozen ones and those whose rate is always 0 are not looked at.
        highest: rate of the whole schedule. From half of it on updates count: a warm-up is over, the end far away.
    """

    def __init__(self, optimizer: Optimizer, highest: float) -> None:
        groups = [group for group in optimizer.param_groups if group.get("lr_multiplier") != 0]
        weights = [p for group in groups for p in group["params"] if p.ndim > 1]  # biases near 0 move at any rate
        self.weights = weights[:: math.ceil(len(weights) / _SAMPLED) or 1]
        self.least = highest / 2
        self._before: tuple[int, list[Tensor]] | None = None
        self._done = not self.weights or highest == 0

    def look(self, step: int, rate: float) -> float | None:
        """The share of the numbers looked at that changed, when it is known; waits for the device then, once."""
        if self._done:
            return None
        if self._before is None:
            if rate >= self.least:
                self._before = step, [p.detach()[:_ROWS].clone() for p in self.weights]
            return None
        since, before = self._before
        if step - since < _WINDOW:
            return None
        changed = [(p.detach()[:_ROWS] != old).float().flatten() for p, old in zip(self.weights, before, strict=True)]
        self._before, self._done = None, True
        return torch.cat(changed).mean().item()


class Diagnostics:
    """Watches the figures that a training makes anyway.

    Every process sees the same reports and so comes to the same words; the log lets rank 0 alone speak.

    Args:
        names: of the classes.
        dataloader: its options are named in remedies.
        say: tells the person who watches.

    Attributes:
        horizon: steps after which a class that was never seen is told; 0 for not at all.
    """

    def __init__(self, names: Sequence[str], dataloader: DataloaderConfig, *, say: Callable[[str], None]) -> None:
        self.names = names
        self.dataloader = dataloader
        self.horizon = 0
        self._say = say
        self._said: set[str] = set()
        self._seen: Tensor | None = None
        self._steps = 0
        self._slow_s = 0.0
        self._last_line = 0
        self._movement: Movement | None = None

    def schedule(self, scheduler: Scheduler, optimizer: Optimizer) -> None:
        """Rates of 0, which train nothing; and from when on the weights must be seen to move."""
        probes = range(0, scheduler.total_steps, max(scheduler.total_steps // _PROBES, 1))
        rates = [scheduler.lr_at(step) for step in probes]
        still = rates.count(0) / len(rates)
        self._movement = Movement(optimizer, max(rates))
        if still > 0.01:
            self._once("lr", f"the learning rate is 0 in {still:.0%} of all steps; check scheduler")
        frozen = sum(len(group["params"]) for group in optimizer.param_groups if group.get("lr_multiplier") == 0)
        if frozen:
            text = f"{frozen} parameters never change: their lr_multiplier in scheduler.optimizer.params_rules is 0"
            self._once("frozen", text)

    def step(self, report: Report) -> None:
        """Looks at the labels of a step."""
        if not report.seen.any() and "ignored" not in self._said:
            ids = [name for names in dist.gather_objects(list(report.names)) for name in names]
            text = f"step {report.step}: every pixel of the batch is ignored, so it teaches nothing: "
            text += some_of(ids, _SHOWN)
            self._once("ignored", f"{text}; check dataset.label_map and the fill of labels, or enlarge the batch")
        if self._steps < self.horizon:
            self._seen = report.seen if self._seen is None else self._seen | report.seen
            self._steps += 1
            if self._steps == self.horizon:
                self._unseen(self._seen)

    def _unseen(self, seen: Tensor) -> None:
        """Classes that one pass over the data did not show; a single class is the one of id 1."""
        ids = range(len(self.names)) if len(self.names) > 1 else range(1, 2)
        absent = [name for name, i in zip(self.names, ids, strict=True) if not seen[i]]
        if absent:
            text = f"{len(absent)} of {len(self.names)} classes never occurred in {self.horizon} steps"
            remedy = "they cannot be learnt; check dataset.label_map, the split, and the crop"
            self._once("unseen", f"{text}: {some_of(absent, _SHOWN)}; {remedy}")

    def line(self, record: Mapping[str, Any], loss_scale: float | None) -> None:
        """Looks at the figures of a logged line.

        Args:
            record: as in the log.
            loss_scale: of float16; None where nothing is scaled.
        """
        slow = record["data_wait"] > _SLOW_DATA
        self._slow_s = self._slow_s + record["step_s"] * (record["step"] - self._last_line) if slow else 0.0
        self._last_line = record["step"]
        if self._slow_s > _PATIENCE_S:
            self._once("data", self._slow_data(record["data_wait"]))
        if loss_scale is not None and loss_scale < _TINY_SCALE:
            text = f"float16: the loss scale fell to {loss_scale:.3g}, as gradients overflow again and again"
            self._once("scale", f"{text}; use amp.dtype=bfloat16, or lower scheduler.optimizer.lr")

        if self._movement is not None:
            moved = self._movement.look(record["step"], record["lr"])
            if moved is not None and moved < _STILL:
                self._once("small", self._small(record))

    def _small(self, record: Mapping[str, Any]) -> str:
        norm = record["grad_norm"]
        told = "" if norm is None else f", where the gradient's norm is {norm:.3g}"
        text = f"next to no weight has changed in the {_WINDOW} steps and more before step {record['step']}"
        why = "the updates are smaller than float32 resolves beside the weights"
        return f"{text}: {why}; raise scheduler.optimizer.lr (the rate is {record['lr']:.3g}{told})"

    def _slow_data(self, wait: float) -> str:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = self.dataloader.num_workers
        if workers < cores // dist.world_size():
            remedy = f"raise dataloader.num_workers ({workers} now, {cores} cores here)"
        else:
            remedy = f"all {cores} cores are in use (dataloader.num_workers={workers}); store smaller images"
        return f"the data is slower than the model, which waits {wait:.0%} of the time; {remedy}"

    def _once(self, key: str, text: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self._say(f"warning: {text}")
