"""A job of a sweep on its node: trains, and goes back into the queue when it has to leave before its end.

SLURM tells a job in three ways that it has to leave: SIGUSR2 before its time limit and, where the cluster is set up so,
before a preemption; SIGTERM at a preemption; SIGTERM at a cancellation. While training, all of them end the step and
save it. Whether the job comes back is asked of SLURM: where it still calls the job running, nobody else has ended it.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from segkit.errors import SegkitError, TrainingStopped
from segkit.files import write_file
from segkit.sweeps.folder import Job
from segkit.sweeps.job import clean_environment, run_job

_FRUITLESS = 5
"""Starts in a row that may end without a single new step, before the job is given up."""


def run_in_slurm(run_dir: str, requeue: bool) -> None:
    """What submitit calls on each node of a job.

    Args:
        run_dir: the job's run folder, with its frozen configuration.
        requeue: go back into the queue when told to leave.

    Raises:
        SystemExit: with the exit code that SLURM shall see, unless all is done.
    """
    job = Job.read(Path(run_dir))
    for name in os.environ.keys() - clean_environment().keys():
        del os.environ[name]

    def leave_at_once(number: int, frame: FrameType | None) -> None:
        """There is no training yet, and nothing to save."""
        sys.exit(_leave(job, 128 + number, requeue=requeue))

    for name in ("SIGUSR2", "SIGTERM"):  # in place of submitit's, which would not see a training that hangs on it
        signal.signal(signal.Signals[name], leave_at_once)
    try:
        run_job(job.folder.path)
    except TrainingStopped as stop:
        _say(str(stop))
        sys.exit(_leave(job, stop.exit_code, requeue=requeue and stop.exit_code != 128 + signal.SIGINT))
    except SegkitError as error:
        for line in str(error).splitlines():
            _say(f"error: {line}")
        sys.exit(error.exit_code)


def _leave(job: Job, exit_code: int, *, requeue: bool) -> int:
    """Puts the job back into the queue if it is to come back; returns the exit code."""
    for name in ("SIGUSR2", "SIGTERM"):
        signal.signal(signal.Signals[name], signal.SIG_IGN)  # what comes now comes too late to say more
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return exit_code  # the first node speaks for all
    if not requeue:
        return exit_code
    state = _state()
    if state != "RUNNING":
        _say(f"SLURM job {_job_id()} is not queued again: SLURM has it as {state or 'gone'}")
        return exit_code
    if _is_stuck(job):
        text = f"{_FRUITLESS} starts in a row ended before a single step was done: raise hydra.launcher.time"
        job.note_failure(text, 1)
        _say(f"error: {text}")
        return 1
    done = subprocess.run(["scontrol", "requeue", _job_id()], capture_output=True, text=True, check=False)
    what = "is queued again" if done.returncode == 0 else f"is not queued again: {done.stderr.strip()}"
    _say(f"SLURM job {_job_id()} {what}")
    return exit_code


def _is_stuck(job: Job) -> bool:
    """Whether the last starts all ended with the same checkpoint, or none."""
    file, last = job.folder.path / "requeued.json", job.folder.last
    before: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    saved = last.stat().st_mtime_ns if last.exists() else 0
    starts = before["starts"] + 1 if before.get("saved") == saved else 1
    write_file(file, json.dumps({"saved": saved, "starts": starts}) + "\n")
    return starts > _FRUITLESS


def _job_id() -> str:
    """The job's id; of an array it must be 17_3, as one of its tasks has the id 17 of the whole array, too."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def _state() -> str:
    """SLURM's word for this job: RUNNING as long as neither a user nor SLURM itself has ended it."""
    command = ["squeue", "-h", "-j", _job_id(), "-o", "%T"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


def _say(text: str) -> None:
    print(text, flush=True)
