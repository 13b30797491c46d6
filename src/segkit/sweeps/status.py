"""How far each job of a sweep is: from its run folder, and from SLURM where it runs there."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from segkit.engine.records import read_log
from segkit.engine.run import read_stop
from segkit.sweeps.folder import Job
from segkit.sweeps.queue import QueueState, queue_states

State = Literal["waiting", "running", "done", "failed", "stopped"]
_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
_FINE = ("COMPLETED", "CANCELLED", "PREEMPTED", "REQUEUED")


@dataclass(frozen=True)
class JobStatus:
    """One job.

    Attributes:
        job: which.
        state: waiting to start, running, done, failed, or stopped before its end with the state saved.
        progress: epochs and steps done.
        metrics: of the evaluation with the best monitored metric so far; empty before the first.
        monitor: name of the monitored metric.
        text: what there is to know: why it waits, failed or stopped.
        exit_code: of a failed job: 2 if it is the user's mistake.
        under_way: whether SLURM has it, or a process of this machine runs it.
    """

    job: Job
    state: State
    progress: str
    metrics: Mapping[str, float]
    monitor: str
    text: str = ""
    exit_code: int = 0
    under_way: bool = False

    @property
    def value(self) -> float | None:
        """The monitored metric."""
        return self.metrics.get(self.monitor)


def survey(jobs: Sequence[Job]) -> list[JobStatus]:
    """The state of every job.

    Raises:
        SweepError: if some were handed to SLURM, and it does not answer.
    """
    unfinished = [job.slurm_id for job in jobs if job.slurm_id and not job.folder.metrics.exists()]
    queue = queue_states(unfinished)
    return [_status(job, queue.get(job.slurm_id or "")) for job in jobs]


def _status(job: Job, queued: QueueState | None) -> JobStatus:
    tree = yaml.safe_load(job.folder.config.read_text(encoding="utf-8"))
    monitor = str(tree["trainer"]["monitor"])
    records = read_log(job.folder.log)
    scored = [r for r in records if r["kind"] == "val" and r.get(monitor) is not None]
    best: dict[str, Any] = max(scored, key=lambda record: record[monitor], default={})
    metrics = {k: float(v) for k, v in best.items() if isinstance(v, float) and k not in ("time_s", "step", "epoch")}
    progress = _progress(records, tree["scheduler"])
    state, text, code = _judge(job, queued)
    under_way = state == "running" or (queued is not None and queued.held and state != "done")
    return JobStatus(job, state, progress, metrics, monitor, text, code, under_way)


def _judge(job: Job, queued: QueueState | None) -> tuple[State, str, int]:
    """(state, what there is to know, exit code)."""
    if job.folder.metrics.exists():
        return "done", "", 0
    if queued is not None and queued.held:
        if queued.name in _WAITING:
            again = "queued again; " if job.folder.is_used() else ""
            return "waiting", f"{again}{queued.reason}".removesuffix("; "), 0
        return "running", f"SLURM job {job.slurm_id}", 0
    if job.slurm_id is None and job.folder.is_busy():
        return "running", "", 0
    failure, stop = job.read_failure(), read_stop(job.folder)
    if failure is not None:
        return "failed", failure[0], failure[1]
    if stop is not None:
        return "stopped", str(stop), 0
    if queued is not None and queued.name == "CANCELLED":
        return "stopped", "cancelled", 0
    if queued is not None or job.slurm_id is not None:
        return "failed", _slurm_words(queued), 1
    if job.folder.is_used():
        return "failed", "no process of this machine runs it, and it left no word", 1
    return "waiting", "not started", 0


def _slurm_words(queued: QueueState | None) -> str:
    if queued is None:
        return "SLURM no longer knows the job, and it left no word"
    how = "" if queued.name in _FINE else f", {_exit_words(int(queued.reason.partition(':')[0]))}"
    return f"SLURM: {queued.name.lower().replace('_', ' ')}{how}"


def _exit_words(code: int) -> str:
    """What SLURM's exit code says: it takes 128 off a shell's, so that of a killed process is the signal."""
    if code <= 2 or code not in {*signal.Signals}:  # our own codes for errors are 1 and 2
        return f"exit code {code}"
    name = signal.Signals(code).name
    return f"ended by {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")


def _progress(records: Sequence[Mapping[str, Any]], scheduler: Mapping[str, Any]) -> str:
    if not records:
        return ""
    last = max(records, key=lambda record: record["step"])
    if scheduler.get("max_steps"):
        return f"step {last['step']}/{scheduler['max_steps']}"
    return f"epoch {last['epoch']}/{scheduler['max_epochs']}, step {last['step']}"
