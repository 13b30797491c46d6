"""A training in several processes of ours, on this machine or on each of several."""

import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segkit.config.changes import changed_options
from segkit.config.component import to_plain
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.agent import ProcessesFailedError, StopRelay, run_processes
from segkit.engine.devices import share_of_threads
from segkit.engine.meeting import Meeting, OtherMachineError
from segkit.engine.nodes import Node, interface_towards
from segkit.engine.notes import NOTES, read_notes
from segkit.engine.outcome import Outcome, outcome_of_error, outcome_of_failures
from segkit.engine.prepare import prepared, prepared_beside, run_folder
from segkit.engine.process import ROUND
from segkit.engine.run import RunFolder, RunResult, read_figures, read_stop, result_of
from segkit.errors import ConfigError, TrainingStopped, some_of

_OWN = (
    *("trainer.run_dir", "trainer.node_rank", "trainer.rendezvous", "trainer.devices", "trainer.num_threads"),
    *("dataset.root", "dataloader.num_workers", "dataloader.prefetch_factor", "dataloader.pin_memory"),
)
"""Options that each machine may have its own of."""
_SHOWN = 8


def train_together(config: SegmentorConfig, run_dir: str | Path | None, node: Node, processes: int) -> RunResult:
    """Trains in ``processes`` processes here, and in those of the other machines.

    Raises:
        TrainingStopped: a signal asked to stop; the state is saved.
        SegkitError: the input cannot be used, or training cannot go on.
        RuntimeError: a process failed for a reason that is not the user's; holds its traceback.
    """
    options = config.trainer
    meeting = Meeting(
        node, lost_after_s=options.lost_after_s, wait_s=options.timeout_s, max_restarts=options.max_restarts
    )
    folder: RunFolder | None = None
    try:
        with StopRelay() as relay, ExitStack() as stack:
            stack.enter_context(meeting)
            folder = stack.enter_context(_joined(config, run_dir, meeting))
            outcome = _run(config, folder, meeting, relay, processes)
            if outcome.error:
                outcome.raise_error(_how_to_go_on(folder, node))
            return result_of(folder, outcome.result or {})
    except OtherMachineError as ended:
        ended.outcome.raise_error("the training had not begun")


@contextmanager
def _joined(config: SegmentorConfig, run_dir: str | Path | None, meeting: Meeting) -> Iterator[RunFolder]:
    """The run folder as this machine sees it; machine 0 decides on its name, and on the configuration."""
    rank = meeting.node.rank
    if rank == 0:
        with run_folder(config, run_dir) as folder, prepared(config, folder):
            meeting.agree({"config": to_plain(config), "run_dir": str(folder.path)})
            yield folder
    else:
        told = meeting.agree({})
        _require_same(told["config"], to_plain(config), rank)
        chosen = run_dir or config.trainer.run_dir or told["run_dir"]
        with run_folder(config, chosen) as folder, prepared_beside(config, folder, rank):
            yield folder


def _require_same(first: Mapping[str, Any], own: Mapping[str, Any], rank: int) -> None:
    """Machines that train different things would give nonsense, or wait for each other for ever."""
    lines = [line for line in changed_options(first, own) if not line.startswith(_OWN)]
    if lines:
        shown = some_of(lines, _SHOWN, between="; ")
        text = f"machine {rank} was started with other options than machine 0: {shown}"
        raise ConfigError(f"{text}; start the same command on each")


def _run(config: SegmentorConfig, folder: RunFolder, meeting: Meeting, relay: StopRelay, processes: int) -> Outcome:
    """Starts this machine's processes and waits for all, here and on the other machines."""
    node = meeting.node
    command = ["-m", "segkit.engine.worker", str(folder.path), str(folder.frozen(node.rank))]
    machine = socket.gethostname() if node.count > 1 else ""
    with TemporaryDirectory(prefix="segkit-") as notes, _environment(config, processes, node, notes):
        try:
            grace_s = config.trainer.grace_s
            run_processes(meeting, relay, command, processes=processes, grace_s=grace_s, notes=Path(notes))
            outcome = _own_outcome(folder, node.rank)
        except ProcessesFailedError as failed:
            places = meeting.places | read_notes(Path(notes))
            outcome = outcome_of_failures(failed.failures, folder, places, machine)
        except OtherMachineError as lost:
            outcome = lost.outcome
        if outcome.failed and relay.received is not None:
            outcome = _stopped_before_saving(relay.received)
    return meeting.settle(outcome)


def _own_outcome(folder: RunFolder, node_rank: int) -> Outcome:
    """What processes that ended in good order left in the run folder; on other machines it may be an older one."""
    if node_rank > 0:
        return Outcome()
    stop = read_stop(folder)
    return Outcome(result=read_figures(folder)) if stop is None else outcome_of_error(stop)


def _stopped_before_saving(number: signal.Signals) -> Outcome:
    """Processes that get the signal while they start, or cannot save in time, fail; but they were asked to stop."""
    text = f"stopped by {number.name} before the step could be saved"
    return Outcome(TrainingStopped.__name__, text, exit_code=128 + number, resumable=True)


def _how_to_go_on(folder: RunFolder, node: Node) -> str:
    if folder.last.exists():
        return f"trainer.run_dir={folder.path} goes on from the last checkpoint"
    return "there is no checkpoint yet" if node.rank == 0 else "machine 0 has the checkpoints, if there are any"


@contextmanager
def _environment(config: SegmentorConfig, processes: int, node: Node, notes: str) -> Iterator[None]:
    """Variables that the processes inherit: an even share of the cores, and the network in which they meet."""
    added = {"OMP_NUM_THREADS": str(share_of_threads(config.trainer, processes)), NOTES: notes}
    if node.count > 1 and "GLOO_SOCKET_IFNAME" not in os.environ:
        interface = interface_towards(node.host, node.port)  # gloo would go by the host's name, often 127.0.1.1
        added |= {} if interface is None else {"GLOO_SOCKET_IFNAME": interface}
    before = {name: os.environ.get(name) for name in (*added, ROUND)}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
