"""What SLURM says of jobs: its queue for those that it holds, its accounting for those that have ended."""

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from segkit.errors import SweepError


@dataclass(frozen=True)
class QueueState:
    """One job of SLURM.

    Attributes:
        name: SLURM's word, as PENDING, RUNNING, COMPLETED, OUT_OF_MEMORY.
        reason: why it waits, or how it ended; may be empty.
        held: whether SLURM still has it: it waits, runs, or is ending.
    """

    name: str
    reason: str
    held: bool


def queue_states(slurm_ids: Iterable[str]) -> dict[str, QueueState]:
    """The state of each job, as 17_0, that SLURM knows of.

    Raises:
        SweepError: if SLURM does not answer.
    """
    ids = sorted(set(slurm_ids))
    if not ids:
        return {}
    ended = {
        job: QueueState(state.split()[0], code, held=False)  # "CANCELLED by 0"
        for job, state, code in _ask(["sacct", "-n", "-X", "-P", "-o", "JobID,State,ExitCode", "-j", ",".join(ids)])
    }
    held = {
        job: QueueState(state, reason if reason != "None" else "", held=True)
        for job, state, reason in _ask(["squeue", "-h", "-r", "-o", "%i|%T|%r", "-j", ",".join(ids)])
    }
    return {job: state for job, state in (ended | held).items() if job in ids}


def cancel_command(slurm_ids: Sequence[str]) -> str:
    """What ends these jobs."""
    return f"scancel {' '.join(sorted({job.partition('_')[0] for job in slurm_ids}, key=int))}"


def _ask(command: list[str]) -> list[list[str]]:
    """Lines of three fields that a command of SLURM prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except FileNotFoundError:
        raise SweepError(f"no {command[0]} on this machine: ask where SLURM is") from None
    except subprocess.TimeoutExpired:
        raise SweepError(f"{command[0]} does not answer") from None
    quiet = "Invalid job id" in done.stderr or "accounting" in done.stderr.lower()  # forgotten by now; not kept at all
    if done.returncode != 0 and not quiet:
        raise SweepError(f"{command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    rows = (line.split("|") for line in done.stdout.splitlines())
    return [row for row in rows if len(row) == len(("job", "state", "reason"))]
