"""How the processes of a group know of each other where collectives cannot help: who is where, fails, or must stop."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import torch.distributed as torch_dist
from torch.distributed import Store  # type: ignore[attr-defined]

from segkit.engine.notes import Note, describe
from segkit.engine.signals import Reason
from segkit.errors import TrainingStopped

_INTERVAL_S = 0.25
_POLL_S = 0.02
_CHECK_S = 1.0
_FAREWELL_S = 5.0
"""Time that a process has to fail by itself, with its own error, once another one has failed."""


class Alone:
    """A process without others; the trainer asks it what it would ask a :class:`Heartbeat`."""

    leaving: Reason | None = None

    def at(self, place: str) -> None:
        """Nobody needs to be told."""

    def leave(self, name: str, reason: Reason) -> Reason | None:
        """See :meth:`Heartbeat.leave`."""
        return reason

    def meet(self, name: str, asked: Callable[[], Reason | None]) -> Reason | None:
        """See :meth:`Heartbeat.meet`."""
        return asked()


class Heartbeat:
    """Context that tells the other processes, a few times a second, how far this one is.

    If one of them fails or dies, this process ends too, even where its main thread waits for it for ever.

    Args:
        store: shared by all processes.
        rank: this process.
        world_size: how many there are.
        timeout_s: how long to wait for the others.
        note: also tells where this process is, for who finds it dead.

    Attributes:
        leaving: why the processes leave what they are doing, None as long as they do not.
    """

    def __init__(
        self, store: Store, rank: int, world_size: int, *, timeout_s: float = 1800.0, note: Note | None = None
    ) -> None:
        self.store = store
        self.rank = rank
        self.world_size = world_size
        self.timeout_s = timeout_s
        self.note = note
        self.leaving: Reason | None = None
        self._place = "starting"
        self._told_at = 0.0
        self._wake = threading.Event()
        self._done = threading.Event()
        self._known: set[int] = set()
        self._neighbours: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self.at(self._place)
        self.store.set(f"pid/{self.rank}", f"{os.getpid()} {_where()}")
        self._tell()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._wake.set()
        self._thread.join(2 * _INTERVAL_S)
        try:
            self.store.set(f"left/{self.rank}", "")  # from now on it is no loss if this process is gone
            # Not for a stop on request: rank 0 may still be writing the checkpoint, and is to take its time.
            if kind is not None and not issubclass(kind, TrainingStopped):
                self._place = f"{self._place}, failed"
                self._tell()
                self.store.set("failed", str(self.rank))
        except RuntimeError:
            return  # the store is gone with the process that kept it

    def at(self, place: str) -> None:
        """Notes where this process is, as in "step 12"; costs microseconds."""
        self._place = place
        if self.note is not None:
            self.note.write(place)
        if time.monotonic() - self._told_at > _INTERVAL_S:
            self._wake.set()  # it may be stuck a moment later

    def places(self) -> str:
        """Where every process was a moment ago."""
        keys = [f"place/{rank}" for rank in range(self.world_size)]
        known = [self.store.get(key).decode() if self.store.check([key]) else "not started" for key in keys]
        return describe(dict(enumerate(known)))

    def leave(self, name: str, reason: Reason) -> Reason | None:
        """Makes all processes leave ``name``; returns the first one's reason, None if all had finished it before."""
        self.store.compare_set(f"verdict/{name}", "", json.dumps(reason))  # the first verdict counts
        verdict = self._verdict(name)
        if verdict is not None:
            self.store.set("leaving", json.dumps(verdict))
        return verdict

    def meet(self, name: str, asked: Callable[[], Reason | None]) -> Reason | None:
        """Waits until all processes have finished ``name``, or leave it together.

        A collective would wait for the slowest process even if this one is asked to stop.

        Args:
            name: what ends here, the same on every process and never used again.
            asked: why this process should leave, None if it should not.

        Returns:
            None if all are here; else why all leave.

        Raises:
            LostProcessError: if the others do not come in time.
        """
        verdict = f"verdict/{name}"
        if self.store.add(f"arrived/{name}", 1) == self.world_size:
            self.store.compare_set(verdict, "", json.dumps(None))
        deadline = time.monotonic() + self.timeout_s
        while not self.store.check([verdict]):
            reason = asked()
            if reason is not None:
                return self.leave(name, reason)
            if time.monotonic() > deadline:
                raise LostProcessError(f"the others did not finish {name} within {self.timeout_s:g} s")
            time.sleep(_POLL_S)
        return self._verdict(name)

    def _verdict(self, name: str) -> Reason | None:
        told = json.loads(self.store.get(f"verdict/{name}"))
        return None if told is None else Reason(*told)

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        self.store.set(f"place/{self.rank}", self._place)

    def _run(self) -> None:
        told, checked_at = self._place, time.monotonic()
        while not self._done.is_set():
            self._wake.wait(_INTERVAL_S)
            self._wake.clear()
            try:
                if self._place != told:
                    told = self._place
                    self._tell()
                if time.monotonic() - checked_at > _CHECK_S:
                    checked_at = time.monotonic()
                    self._look_around()
            except RuntimeError:
                return  # the launcher, which keeps the store, is gone

    def _look_around(self) -> None:
        """Leaves where another process failed; tells of one on this machine that died without a word."""
        if self.store.check(["leaving"]):
            self.leaving = Reason(*json.loads(self.store.get("leaving")))
        for rank in [rank for rank, pid in self._find_neighbours().items() if _is_dead(pid)]:
            if not self.store.check([f"left/{rank}"]):
                self.store.set("failed", str(rank))
        if self.store.check(["failed"]):
            self._leave()

    def _find_neighbours(self) -> dict[int, int]:
        """The pids of the other processes on this machine, as far as they have started."""
        for rank in range(self.world_size):
            if rank not in self._known and self.store.check([f"pid/{rank}"]):
                pid, host = self.store.get(f"pid/{rank}").decode().split(" ", 1)
                self._known.add(rank)
                if host == _where() and rank != self.rank:
                    self._neighbours[rank] = int(pid)
        return self._neighbours

    def _leave(self) -> None:
        if not self._done.wait(_FAREWELL_S):  # the main thread does not notice
            os._exit(1)


class LostProcessError(RuntimeError):
    """Another process is gone, stuck, or late."""


def is_lost_connection(error: BaseException) -> bool:
    """Whether a collective failed because another process is gone, stuck, or late."""
    text = str(error).lower()
    return isinstance(error, torch_dist.DistError | LostProcessError) or (
        isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "nccl", "connection", "timed out"))
    )


def _where() -> str:
    """The machine, and the container on it: processes with the same answer can look at each other's pids."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {os.getpid()}"  # no way to look


def _is_dead(pid: int) -> bool:
    """Whether a process is gone, or a zombie that its launcher has not yet looked at."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True
