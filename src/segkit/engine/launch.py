"""Starting a training: in this process, or in several of torchrun's."""

import json
import logging
import math
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch.distributed as torch_dist
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from segkit import errors
from segkit.config.checks import cross_checks
from segkit.config.component import to_plain
from segkit.config.segmentor import SegmentorConfig
from segkit.config.validate import validate
from segkit.engine.devices import count_processes, share_of_threads
from segkit.engine.heartbeat import Heartbeat
from segkit.engine.process import die_with_parent, is_external, open_store, process_group, run_process
from segkit.engine.rehearsal import rehearses
from segkit.engine.run import RunFolder, RunResult, new_run_dir, read_result, read_stop
from segkit.engine.sinks.choose import missing_packages
from segkit.engine.worker import place_note
from segkit.errors import ConfigError, Problem, SegkitError, TrainingError, TrainingStopped

_LINES = 8
"""Last lines of a dead process that are told."""

_MARGIN_S = 5
"""Time between the end of trainer.grace_s, when processes leave by themselves, and the agent's SIGKILL."""

_AGENT_KILLS_AFTER_S = 15
"""Half of the time that torch's agent leaves the other processes after one has failed."""


def train(config: SegmentorConfig | None, run_dir: str | Path | None = None) -> RunResult:
    """Trains a model.

    One process trains right here, so that a debugger works; several are started through torchrun's own API. Under
    an external torchrun every process calls this, and rank 0's configuration is used.

    Args:
        config: all options; under an external torchrun, only rank 0 needs one.
        run_dir: folder of the results, in place of ``config.trainer.run_dir``. A run that was cut off goes on there.

    Raises:
        TrainingStopped: a signal asked to stop; the state is saved.
        SegkitError: the input cannot be used, or training cannot go on.
        RuntimeError: a process failed for a reason that is not the user's; holds its traceback.
    """
    if is_external():
        return _train_external(config, run_dir)
    if config is None:
        raise TypeError("config is needed where torchrun did not start this process")
    _check(config)
    processes = count_processes(config.trainer)
    with _folder(config, run_dir) as folder, _prepared(config, folder):
        if processes == 1:
            return run_process(config, folder)
        return _launch(config, folder, processes)


def _check(config: SegmentorConfig) -> None:
    """What the command line checks when it composes, for configurations that were made in Python."""
    problems = [*cross_checks(config), *missing_packages(config.logger)]
    if problems:
        raise ConfigError(problems)


@contextmanager
def _folder(config: SegmentorConfig, run_dir: str | Path | None) -> Iterator[RunFolder]:
    """The run folder; that of a rehearsal is gone afterwards."""
    if rehearses(config.trainer):
        with tempfile.TemporaryDirectory(prefix="segkit-") as temporary:
            yield RunFolder(Path(temporary))
    else:
        yield RunFolder(Path(run_dir) if run_dir is not None else new_run_dir(config))


@contextmanager
def _prepared(config: SegmentorConfig, folder: RunFolder) -> Iterator[None]:
    """The run folder, with the frozen configuration; gone again if training failed before it wrote anything."""
    if config.trainer.resume == "never" and folder.is_used():
        text = f"is never, but {folder.path} holds a run; use another trainer.run_dir, or trainer.resume=auto"
        raise ConfigError([Problem("trainer.resume", text)])
    if folder.path.exists():
        with folder.locked():  # nobody is training there
            pass
    new = folder.create(config)
    try:
        yield
    except BaseException:
        if new:
            folder.discard_if_unused()
        raise


def _launch(config: SegmentorConfig, folder: RunFolder, processes: int) -> RunResult:
    """Starts the processes and waits for them."""
    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=config.trainer.max_restarts,
        monitor_interval=0.1,
    )
    # Older torch has no such field, and waits 30 s.
    launch.shutdown_timeout = math.ceil(config.trainer.grace_s) + _MARGIN_S
    command = ["-m", "segkit.engine.worker", str(folder.path)]
    try:
        with _environment(config, processes), _launcher_signals(), _quiet_agent():
            elastic_launch(launch, sys.executable)(*command)
    except ChildFailedError as failed:
        raise _failure(failed.failures, folder) from None
    except SignalException as stop:
        _raise_if_stopped(folder)
        number = signal.Signals(stop.sigval)
        text = f"stopped by {number.name}; trainer.run_dir={folder.path} goes on from the last checkpoint"
        raise TrainingStopped(text, 128 + number) from None
    _raise_if_stopped(folder)
    return read_result(folder)


def _raise_if_stopped(folder: RunFolder) -> None:
    """Tells what the processes left, if they stopped on request."""
    error = read_stop(folder)
    if error is not None:
        raise error from None


@contextmanager
def _environment(config: SegmentorConfig, processes: int) -> Iterator[None]:
    """Variables that the processes inherit; the machine's cores are shared evenly."""
    added = {"OMP_NUM_THREADS": str(share_of_threads(config.trainer, processes))}
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _launcher_signals() -> Iterator[None]:
    """Signals that ask for a checkpoint reach the processes; afterwards ours are as before.

    The agent passes SIGTERM, SIGINT and SIGHUP on, but dies of the others.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    passed_on = _signals("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
    translated = _signals("SIGUSR1", "SIGUSR2")
    before = {number: signal.getsignal(number) for number in (*passed_on, *translated)}

    def as_sigterm(number: int, frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    for number in translated:
        signal.signal(number, as_sigterm)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signals(*names: str) -> list[signal.Signals]:
    """Those of them that this system has."""
    return [signal.Signals[name] for name in names if hasattr(signal, name)]


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


def _failure(failures: Mapping[int, ProcessFailure], folder: RunFolder) -> Exception:
    """The error of the process that failed first; the others fail because of it."""
    told = [f.error_file_data["segkit"]["time"] for f in failures.values() if "segkit" in f.error_file_data]
    by_agent = bool(told) and time.time() - min(told) > _AGENT_KILLS_AFTER_S
    rank, failure = min(failures.items(), key=lambda item: _order(item[1], by_agent))
    details: dict[str, Any] = failure.error_file_data.get("segkit", {})
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        why = " (often: out of memory)" if name == "SIGKILL" else ""
        text = f"process {rank} (pid {failure.pid}) was ended by {name}{why}{_place(failure)}; {_go_on(folder)}"
        return TrainingError(text + _last_lines(folder, rank))
    if details.get("user"):
        kind = getattr(errors, details["kind"], SegkitError)
        if details["lost"]:
            return TrainingError(f"{details['text']}; {_go_on(folder)}")
        return kind(details["text"]) if issubclass(kind, SegkitError) else SegkitError(details["text"])
    if details:
        callstack = failure.error_file_data["message"]["extraInfo"]["py_callstack"]
        return RuntimeError(f"process {rank} failed; {_go_on(folder)}\n\n{callstack}")
    text = f"process {rank} ended with exit code {failure.exitcode}{_place(failure)}; {_go_on(folder)}"
    return RuntimeError(text + _last_lines(folder, rank))


def _place(failure: ProcessFailure) -> str:
    """Where the training was when the process died without a word."""
    note = place_note(failure.error_file)
    return f" at {note.read_text(encoding='utf-8')}" if note.exists() else ""


def _last_lines(folder: RunFolder, rank: int) -> str:
    """What the process said last; rank 0 said it on the console."""
    log = folder.process_log(rank)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "".join(f"\n{log}: {line}" for line in lines[-_LINES:])


def _order(failure: ProcessFailure, killed_by_agent: bool) -> tuple[int, float]:
    """A process that was killed comes first, then one with an error of its own, then one that waited for another.

    After an error the agent ends the others, by SIGTERM and in the end by SIGKILL, so those come last.
    """
    details = failure.error_file_data.get("segkit", {})
    if failure.exitcode < 0:
        ended = failure.exitcode == -signal.SIGTERM or (failure.exitcode == -signal.SIGKILL and killed_by_agent)
        kind = 3 if ended else 0
    else:
        kind = 2 if details.get("lost") or not details else 1
    return kind, details.get("time", float(failure.timestamp))


def _go_on(folder: RunFolder) -> str:
    if not folder.last.exists():
        return "there is no checkpoint yet"
    return f"trainer.run_dir={folder.path} goes on from the last checkpoint"


def _train_external(config: SegmentorConfig | None, run_dir: str | Path | None) -> RunResult:
    """One of the processes of an external torchrun: rank 0 tells the others what to do."""
    if torch_dist.is_torchelastic_launched():  # by another launcher, the parent may be a shell that comes and goes
        die_with_parent()
    store, rank, world_size = open_store()
    with ExitStack() as stack:
        if rank == 0:
            if config is None:
                raise TypeError("rank 0 needs a config")
            _check(config)
            folder = stack.enter_context(_folder(config, run_dir))
            store.set("config", json.dumps({"tree": to_plain(config), "run_dir": str(folder.path.resolve())}))
            stack.enter_context(_prepared(config, folder))
        else:
            told = json.loads(store.get("config"))
            config, folder = validate(told["tree"]), RunFolder(Path(told["run_dir"]))
        heartbeat = stack.enter_context(Heartbeat(store, rank, world_size, timeout_s=config.trainer.timeout_s))
        stack.enter_context(process_group(config, store, rank, world_size))
        return run_process(config, folder, heartbeat)
