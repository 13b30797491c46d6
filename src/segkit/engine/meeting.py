"""Where the launchers of all machines meet: a round for each start of the processes, and word of how each machine is.

Torch's own rendezvous numbers machines by chance and counts restarts on each by itself, so that after a restart
processes look for each other under different keys, and wait for the addresses of dead ones.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousInfo, RendezvousStoreInfo

from segkit.engine.nodes import Node
from segkit.engine.notes import describe
from segkit.engine.outcome import WAITED, Outcome, outcome_of_error
from segkit.engine.process import ROUND
from segkit.errors import ConfigError, Problem, TrainingError, TrainingStopped

_TALK_S = 0.2
_POLL_S = 0.05
_LAST_WORDS_S = 10.0
"""Time that the other machines have to tell how they ended, once one has."""
_SILENT_S = 3.0
"""A machine that is silent for so long is named when something else goes wrong."""


class OtherMachineError(Exception):
    """Another machine is gone, or its part of the training has ended; ``outcome`` tells it."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.text)


class Meeting(RendezvousHandler):
    """Context in which this machine's launcher knows those of the others; the elastic agent's rendezvous.

    Each machine writes one value, which it alone changes, and reads those of the others. A thread talks, so that the
    launcher is never stuck in a network that is gone.

    Args:
        node: this machine.
        lost_after_s: silence after which a machine counts as lost.
        wait_s: how long to wait for the others to come.
        max_restarts: starts of the processes beyond the first.

    Attributes:
        end_processes: ends this machine's training processes at once.
        places: where the processes were when they were last heard of, by rank.
    """

    def __init__(self, node: Node, *, lost_after_s: float, wait_s: float, max_restarts: int) -> None:
        self.node = node
        self.lost_after_s = lost_after_s
        self.wait_s = wait_s
        self.max_restarts = max_restarts
        self.round = -1
        self.world_size = 0
        self.end_processes: Callable[[], None] = lambda: None
        self.places: dict[int, str] = {}
        self._own: dict[str, Any] = {"name": socket.gethostname(), "beat": 0, "round": -1, "outcome": None}
        self._others: dict[int, dict[str, Any]] = {}
        self._heard = dict.fromkeys(range(node.count), time.monotonic())
        self._met = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._talk, name="meeting", daemon=True)

    def __enter__(self) -> Self:
        node = self.node
        self.store = self._open()
        self.port = self.store.port
        if node.count > 1:
            if self.store.add(f"claimed/{node.rank}", 1) > 1:
                text = f"another process is machine {node.rank} already; each machine needs a number of its own"
                raise ConfigError([Problem("trainer.node_rank", text)])
            self._talker = TCPStore(node.host, self.port, is_master=False, wait_for_workers=False)
            self._thread.start()
            threading.Thread(target=self._guard, name="meeting-guard", daemon=True).start()
        return self

    def _open(self) -> TCPStore:
        """The store of machine 0, which its launcher keeps."""
        node = self.node
        options: Any = {"is_master": node.rank == 0, "wait_for_workers": False}
        if node.rank > 0:
            self._wait_until(self._reachable, f"machine 0 at {node.host}:{node.port}")
        try:
            return TCPStore(node.host, node.port, timeout=timedelta(seconds=self.wait_s), **options)
        except RuntimeError as error:
            if node.rank > 0:
                raise TrainingError(f"no training is started at {node.host}:{node.port}: {error}") from error
            text = f"port {node.port} of this machine cannot be used ({str(error).splitlines()[0]}); choose another"
            raise ConfigError([Problem("trainer.rendezvous", text)]) from error

    def _reachable(self) -> bool:
        try:
            socket.create_connection((self.node.host, self.node.port), timeout=2).close()
        except OSError:
            return False
        return True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.node.count > 1:
            if error is not None and self._own["outcome"] is None:
                self._own["outcome"] = outcome_of_error(error).to_plain()
            self._leave(in_haste=isinstance(error, KeyboardInterrupt | TrainingStopped) and not self._met)
        self._done.set()
        if self._thread.is_alive():
            self._thread.join(1.0)  # at exit a thread inside torch's C++ would end the process by abort()

    def _leave(self, *, in_haste: bool) -> None:
        """Machine 0 keeps the store until the others have heard all."""
        self._own["left"] = True
        last = self.node.rank > 0 or in_haste
        deadline = time.monotonic() + (2 * _TALK_S if last else _LAST_WORDS_S)
        while time.monotonic() < deadline:
            if not last and self._met and all(other.get("left") or self._lost() for other in self._others.values()):
                return
            time.sleep(_POLL_S)

    # What launchers tell each other -----------------------------------------------------------------------------

    def agree(self, value: dict[str, Any]) -> dict[str, Any]:
        """Machine 0's ``value``, on every machine."""
        if self.node.count > 1:
            if self.node.rank == 0:
                self.store.set("agreed", json.dumps(value))
            self._wait_until(lambda: self.store.check(["agreed"]), "machine 0")
            told: dict[str, Any] = json.loads(self.store.get("agreed"))
            return told
        return value

    def settle(self, outcome: Outcome) -> Outcome:
        """How the training ended: the outcome that explains most, of all machines that can still tell theirs."""
        if self.node.count == 1:
            return outcome
        self._own["outcome"] = outcome.to_plain()
        deadline = time.monotonic() + _LAST_WORDS_S
        while len(self._outcomes()) < self.node.count and time.monotonic() < deadline and not self._lost():
            time.sleep(_POLL_S)
        known = self._outcomes()
        failed = [each for each in known.values() if each.failed]
        if failed:
            first = min(failed, key=lambda each: (each.blame, each.time))
            silent = self._silent(_SILENT_S)
            if first.blame >= WAITED and silent and not self._lost():
                return replace(first, text=f"{first.text}; {silent}")
            return first
        stopped = [each for each in known.values() if each.error]
        return stopped[0] if stopped else known.get(0, outcome)

    def _outcomes(self) -> dict[int, Outcome]:
        states = {**self._others, self.node.rank: self._own}
        return {rank: Outcome(**state["outcome"]) for rank, state in states.items() if state.get("outcome")}

    # What the elastic agent asks --------------------------------------------------------------------------------

    def get_backend(self) -> str:
        """See torch."""
        return "segkit"

    def get_run_id(self) -> str:
        """See torch."""
        return "segkit"

    @property
    def use_agent_store(self) -> bool:
        """The processes use the same store."""
        return True

    def next_rendezvous(self) -> RendezvousInfo:
        """Waits until every machine has come to the next round."""
        others = [state["round"] for state in self._others.values()]
        self.round = max(self.round + 1, *others, 0)
        self._own["round"] = self.round
        if self.node.count > 1:
            self._wait_until(self._all_came, "the other machines")
            if self.node.rank > 0:
                print(f"machine {self.node.rank} of {self.node.count} trains; machine 0 tells how", flush=True)  # noqa: T201
        os.environ[ROUND] = str(self.round)
        return RendezvousInfo(
            PrefixStore(f"agent/{self.round}", self.store),
            self.node.rank,
            self.node.count,
            RendezvousStoreInfo(self.node.host, self.port),
        )

    def _all_came(self) -> bool:
        return self._met and all(state["round"] >= self.round for state in self._others.values())

    def num_nodes_waiting(self) -> int:
        """Machines that have started a new round, as their processes failed.

        Raises:
            OtherMachineError: if a machine is lost or has ended.
        """
        try:
            self._require_others()
        except OtherMachineError:
            self.end_processes()  # they wait for others in vain, and have nothing to save
            raise
        return sum(state["round"] > self.round for state in self._others.values())

    def is_closed(self) -> bool:
        """See torch."""
        return False

    def set_closed(self) -> None:
        """Nothing closes but by ending."""

    def shutdown(self) -> bool:
        """See torch; the context ends it."""
        return True

    # What happens meanwhile -------------------------------------------------------------------------------------

    def _wait_until(self, ready: Callable[[], bool], whom: str) -> None:
        began = time.monotonic()
        told = False
        while not ready():
            self._require_others()
            if time.monotonic() - began > self.wait_s:
                text = f"{whom} did not come within {self.wait_s:g} s (trainer.timeout_s)"
                raise TrainingError(f"{text}; start the same command on each of the {self.node.count} machines")
            if not told and time.monotonic() - began > 1:
                told = True
                print(f"waiting for {whom}", flush=True)  # noqa: T201
            time.sleep(_POLL_S)

    def _require_others(self) -> None:
        if self.node.count == 1:
            return
        for outcome in (each for rank, each in self._outcomes().items() if rank != self.node.rank):
            if outcome.failed:
                raise OtherMachineError(outcome)
        if lost := self._lost():
            raise OtherMachineError(Outcome("TrainingError", lost, resumable=True, blame=WAITED, time=time.time()))

    def _lost(self) -> str:
        return self._silent(self.lost_after_s) if self._met else ""

    def _silent(self, seconds: float) -> str:
        """Names the machines of which nothing was heard for so long, and where the processes were; "" if none."""
        now = time.monotonic()
        silent = [
            rank
            for rank in range(self.node.count)
            if rank != self.node.rank and now - self._heard[rank] > seconds and not self._others[rank].get("left")
        ]
        if not silent:
            return ""
        names = ", ".join(f"machine {rank} ({self._others[rank]['name']})" for rank in silent)
        quiet = min(now - self._heard[rank] for rank in silent)
        where = f"; last heard of: {describe(self.places)}" if self.places else ""
        return f"nothing was heard of {names} for {quiet:.0f} s: it, or the network between, is gone{where}"

    def _talk(self) -> None:
        """Tells how this machine is and hears of the others, until the store is gone."""
        keys = [f"machine/{rank}" for rank in range(self.node.count)]
        try:
            while True:
                self._own["beat"] += 1
                self._talker.set(keys[self.node.rank], json.dumps(self._own))
                if self._met or self._talker.check(keys):
                    self._hear([json.loads(text) for text in self._talker.multi_get(keys)])
                if self._done.wait(_TALK_S):
                    return
        except RuntimeError:
            return  # machine 0 falls silent, and with it all that is heard through its store

    def _hear(self, states: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        others = {rank: state for rank, state in enumerate(states) if rank != self.node.rank}
        for rank, state in others.items():
            if state["beat"] != self._others.get(rank, {}).get("beat"):
                self._heard[rank] = now
        self._others, self._met = others, True
        if self.round >= 0 and self.world_size:
            keys = [f"segkit/{self.round}/place/{rank}" for rank in range(self.world_size)]
            if self._talker.check(keys):
                self.places = {rank: place.decode() for rank, place in enumerate(self._talker.multi_get(keys))}

    def _guard(self) -> None:
        """Ends this launcher if it is stuck in torch while another machine is lost."""
        while not self._done.wait(1.0):
            text = self._silent(self.lost_after_s + _LAST_WORDS_S) if self._met else ""
            if text:
                self.end_processes()
                print(f"error: {text}", file=sys.stderr, flush=True)  # noqa: T201
                os._exit(TrainingError.exit_code)
