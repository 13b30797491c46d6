"""What is measured between two lines of the log: means of the loss, speed, memory."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_FEWEST = 3
"""Steps that a speed is worth telling after."""


class Meter:
    """Means of the terms of the loss since the last line; part of the checkpoint, so a resumed log has no seam."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: dict[str, float] = {}

    def add(self, terms: Mapping[str, float]) -> None:
        """Takes in one step."""
        self.count += 1
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        """The means, and starts anew."""
        means = {name: value / self.count for name, value in self.sums.items()}
        self.count, self.sums = 0, {}
        return means

    def to_plain(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"count": self.count, "sums": dict(self.sums)}

    def load(self, tree: Mapping[str, Any]) -> None:
        """From the checkpoint."""
        self.count, self.sums = tree["count"], dict(tree["sums"])


class Stopwatch:
    """Speed since the last line: steps, seconds, and the seconds among them spent waiting for data."""

    def __init__(self) -> None:
        self.steps = 0
        self.wait_s = 0.0
        self.began = time.perf_counter()
        self._outside_s = 0.0
        self._taken = (0.0, 0.0)

    def waiting(self, items: Iterable[T]) -> Iterator[T]:
        """Passes ``items`` on and notes how long each took to come."""
        iterator = iter(items)
        while True:
            began = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.wait_s += time.perf_counter() - began
            self.steps += 1
            yield item

    def leave_out(self, seconds: float) -> None:
        """Time that is no training, such as an evaluation."""
        self._outside_s += seconds

    def take(self) -> tuple[float, float]:
        """(seconds a step, share of them spent waiting), and starts anew."""
        now = time.perf_counter()
        self._taken = self._figures(now)
        self.steps, self.wait_s, self.began, self._outside_s = 0, 0.0, now, 0.0
        return self._taken

    def now(self) -> tuple[float, float]:
        """What :meth:`take` would say, without starting anew; its last word where the steps since are few."""
        return self._figures(time.perf_counter()) if self.steps >= _FEWEST else self._taken

    def _figures(self, now: float) -> tuple[float, float]:
        elapsed = max(now - self.began - self._outside_s, 1e-9)
        return elapsed / max(self.steps, 1), min(self.wait_s / elapsed, 1.0)


def peak_memory_gb() -> float:
    """The most memory held so far: of the GPU if there is one in use, else of this process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e9
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
