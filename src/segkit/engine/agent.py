"""Starts the training processes of this machine through torchrun's agent, and starts them anew if they fail."""

import inspect
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from torch.distributed.elastic.agent.server.api import RunResult as AgentResult
from torch.distributed.elastic.agent.server.api import WorkerGroup, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from segkit.engine.meeting import Meeting
from segkit.engine.signals import STOP_SIGNALS
from segkit.errors import TrainingStopped

_MARGIN_S = 5
"""Time between the end of trainer.grace_s, when processes leave by themselves, and the agent's SIGKILL."""

_BARRIER_S = 10.0
"""How long the agent waits at the end for those of other machines; how they ended is told apart."""


class ProcessesFailedError(Exception):
    """Some of this machine's processes failed for good; ``failures`` has them by rank."""

    def __init__(self, failures: Mapping[int, ProcessFailure]) -> None:
        self.failures = failures
        super().__init__(f"{len(failures)} processes failed")


class StopRelay:
    """Context in which signals that ask for a stop go on to the training processes, which then end by themselves.

    The agent would rather die of a signal than wait for what the processes save, and says which one it was to nobody.

    Attributes:
        received: the first signal, None while there was none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.pids: Callable[[], Iterable[int]] = lambda: ()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        self.take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def take(self) -> None:
        """Takes the signals over, also from the agent, which claims them whenever it starts processes."""
        for number in self._before:
            signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)
        pids = list(self.pids())
        if not pids:
            name = signal.Signals(number).name
            raise TrainingStopped(f"stopped by {name} before the training began", 128 + number)
        end(pids, signal.Signals(number))


class _Agent(LocalElasticAgent):
    """Torch's agent, which tells us what it sees each time it looks."""

    def __init__(self, spec: WorkerSpec, meeting: Meeting, relay: StopRelay, grace_s: float, notes: Path) -> None:
        options: dict[str, Any] = {"exit_barrier_timeout": _BARRIER_S}
        if "shutdown_timeout" in inspect.signature(LocalElasticAgent).parameters:  # older torch waits 30 s
            options["shutdown_timeout"] = math.ceil(grace_s) + _MARGIN_S
        super().__init__(spec, DefaultLogsSpecs(str(notes / "agent")), **options)  # torch would leave its own in /tmp
        self.meeting = meeting
        self.relay = relay
        relay.pids = self.pids
        meeting.end_processes = lambda: end(self.pids(), signal.SIGKILL)

    def pids(self) -> list[int]:
        """The processes that were started last."""
        return [worker.id for worker in self.get_worker_group().workers if worker.id]

    def _monitor_workers(self, worker_group: WorkerGroup) -> AgentResult:
        self.relay.take()
        self.meeting.world_size = worker_group.workers[0].world_size
        result = super()._monitor_workers(worker_group)
        final = self.relay.received is not None or self.meeting.round >= self.meeting.max_restarts
        if result.is_failed() and final:
            self._stop_workers(worker_group)
            raise ProcessesFailedError(result.failures)
        return result


def run_processes(
    meeting: Meeting, relay: StopRelay, arguments: list[str], *, processes: int, grace_s: float, notes: Path
) -> None:
    """Runs ``processes`` times Python with these arguments, again and again until all end well or no restart is left.

    Args:
        meeting: with the other machines.
        relay: of the signals that ask for a stop.
        arguments: of Python.
        processes: on this machine.
        grace_s: how long they may take to end.
        notes: folder for what the processes leave for the agent.

    Raises:
        ProcessesFailedError: they failed for good.
        OtherMachineError: another machine is lost, or failed.
    """
    spec = WorkerSpec(
        role="segkit",
        local_world_size=processes,
        entrypoint=sys.executable,
        args=tuple(arguments),
        rdzv_handler=meeting,
        max_restarts=meeting.max_restarts,
        monitor_interval=0.1,
    )
    with _quiet_agent():
        _Agent(spec, meeting, relay, grace_s, notes).run()


def end(pids: Iterable[int], number: signal.Signals) -> None:
    """Sends a signal to processes, of which some may be gone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def _quiet_agent() -> Iterator[None]:
    """The agent tells each failure in dozens of lines; ours is told once, by the caller."""
    logger = logging.getLogger("torch.distributed.elastic")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
