"""One job of a sweep: run in this process, or in a fresh one."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from omegaconf import DictConfig

from segkit.config.compose import read_job
from segkit.engine.run import read_config, read_figures, read_stop
from segkit.errors import SegkitError, SweepError, TrainingStopped
from segkit.sweeps.folder import Job, SweepFolder, label, swept

_PASSED_ON = ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP")  # Ctrl-C reaches every process of the terminal by itself


def run_job(path: Path) -> None:
    """Trains as the frozen configuration of a job's run folder says, in this process.

    Raises:
        TrainingStopped: on request; the state is saved.
        SegkitError: the input cannot be used, or training cannot go on; noted in the folder, as any other error is.
    """
    job = Job.read(path)
    job.failed.unlink(missing_ok=True)
    try:
        config = read_config(job.folder.config)
        from segkit.engine.launch import train

        train(config, path)
    except TrainingStopped:
        raise
    except SegkitError as error:
        job.note_failure(str(error), error.exit_code)
        raise
    except Exception as error:
        job.note_failure(f"{type(error).__name__}: {error}", 1)
        raise


def run_fresh(sweep: SweepFolder, job: Job) -> int:
    """Runs a job in a process of its own, so that nothing of one leaks into the next; returns the exit code.

    Raises:
        SystemExit: if this process was asked to stop; the job has saved its state and ended.
    """
    if job.folder.metrics.exists():  # an earlier start finished it
        return 0
    command = [sys.executable, "-m", "segkit.cli.sweep", "run", str(job.folder.path)]
    process = subprocess.Popen(command, env=clean_environment())
    with _passing_on(process) as received:
        code = process.wait()
    if code < 0 and read_stop(job.folder) is None:
        name = signal.Signals(-code).name
        why = " (often: out of memory)" if name == "SIGKILL" else ""
        job.note_failure(f"the process was ended by {name}{why}", 1)
    if received:
        print(f"stopped; segkit-sweep resume {sweep.path} goes on", file=sys.stderr)
        sys.exit(128 + received[0])
    return code


@contextmanager
def _passing_on(process: "subprocess.Popen[bytes]") -> Iterator[list[int]]:
    """Hands signals to the process, which saves and ends; yields those that came."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if number != signal.SIGINT:
            process.send_signal(number)

    names = [name for name in ("SIGINT", *_PASSED_ON) if hasattr(signal, name)]
    before = {name: signal.signal(signal.Signals[name], note) for name in names}
    try:
        yield received
    finally:
        for name, handler in before.items():
            signal.signal(signal.Signals[name], handler)


def run_hydra_job(cfg: DictConfig) -> float | None:
    """What Hydra's own launchers call for each job; returns the monitored metric for the sweeper.

    Raises:
        SweepError: if the job failed and the sweeper has to know; the basic one tries the others anyway.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    sweep, choices = SweepFolder(Path(str(hydra.sweep.dir))), dict(hydra.runtime.choices)
    job = sweep.find(hydra.job.num)
    if job is None:  # a sweeper that finds out as it goes
        job = sweep.freeze(hydra.job.num, list(hydra.overrides.task), read_job(cfg, choices))
    print(f"\n{label(job, swept(sweep.jobs()))} -> {job.folder.path}", flush=True)
    code = run_fresh(sweep, job)
    if choices["hydra/sweeper"] != "basic" and code != 0:
        raise SweepError(f"{label(job, ())} ended with exit code {code}")
    return metric_of(job)


def metric_of(job: Job) -> float | None:
    """The best value of the monitored metric; None if the job is not done or there is none."""
    return read_figures(job.folder)["best"].get("value") if job.folder.metrics.exists() else None


def clean_environment() -> dict[str, str]:
    """The environment without what a launcher of processes left there: a job's processes are its own."""
    pattern = re.compile(r"(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|MASTER_(ADDR|PORT)|ROLE_NAME|TORCHELASTIC_\w+")
    return {name: value for name, value in os.environ.items() if pattern.fullmatch(name) is None}
