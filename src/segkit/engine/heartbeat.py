"""How the processes of a group know of each other when a collective fails: who is where, and who has failed."""

import os
import threading
import time
from types import TracebackType
from typing import Self

import torch.distributed as torch_dist
from torch.distributed import Store  # type: ignore[attr-defined]

_INTERVAL_S = 1.0
_FAREWELL_S = 5.0
"""Time that a process has to fail by itself, with its own error, once another one has failed."""


class Heartbeat:
    """Context that tells the other processes, once a second, how far this one is.

    If one of them fails, this process ends too, even where its main thread waits for the failed one for ever.

    Args:
        store: shared by all processes.
        rank: this process.
        world_size: how many there are.
    """

    def __init__(self, store: Store, rank: int, world_size: int) -> None:
        self.store = store
        self.rank = rank
        self.world_size = world_size
        self._place = "starting"
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self.store.set(self._key(self.rank), self._place)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        if kind is not None:
            self._thread.join(2 * _INTERVAL_S)
            self.store.set(self._key(self.rank), f"{self._place}, failed")
            self.store.set("failed", str(self.rank))

    def at(self, place: str) -> None:
        """Notes where this process is, as in "step 12"; costs nothing."""
        self._place = place

    def places(self) -> str:
        """Where every process was a second ago."""
        keys = [self._key(rank) for rank in range(self.world_size)]
        known = [self.store.get(key).decode() if self.store.check([key]) else "not started" for key in keys]
        return ", ".join(f"process {rank}: {place}" for rank, place in enumerate(known))

    def _key(self, rank: int) -> str:
        return f"place/{rank}"

    def _run(self) -> None:
        told = self._place
        while not self._done.wait(_INTERVAL_S):
            try:
                if self._place != told:
                    told = self._place
                    self.store.set(self._key(self.rank), told)
                if self.store.check(["failed"]):
                    self._leave()
            except RuntimeError:
                return  # the launcher, which keeps the store, is gone

    def _leave(self) -> None:
        deadline = time.monotonic() + _FAREWELL_S
        while time.monotonic() < deadline:
            if self._done.wait(_INTERVAL_S / 10):
                return  # the main thread noticed
        os._exit(1)


def is_lost_connection(error: BaseException) -> bool:
    """Whether a collective failed because another process is gone, stuck, or late."""
    text = str(error).lower()
    return isinstance(error, torch_dist.DistError) or (
        isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "nccl", "connection", "timed out"))
    )
