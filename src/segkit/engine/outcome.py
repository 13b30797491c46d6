"""How the processes of one machine ended, as plain data that machines tell each other."""

import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from segkit import errors
from segkit.engine.notes import describe
from segkit.engine.run import RunFolder
from segkit.errors import SegkitError, TrainingStopped

_LINES = 8
"""Last lines of a dead process that are told."""

_AGENT_KILLS_AFTER_S = 15
"""Half of the time that torch's agent leaves the other processes after one has failed."""

KILLED, FAILED, WAITED, ENDED = range(4)
"""What is told first: a process that was killed, one that failed, one that waited for another, one that was ended."""


@dataclass(frozen=True)
class Outcome:
    """How a machine's part of a training ended.

    Attributes:
        error: class of the error in segkit.errors, or RuntimeError for a bug; "" if there was none.
        text: of the error.
        more: further lines: a traceback, or what a dead process said last.
        resumable: whether the error should tell how to go on.
        exit_code: of a stop on request.
        blame: how much the error explains, from KILLED to ENDED.
        time: when it happened, seconds since the epoch.
        result: figures of a finished run.
    """

    error: str = ""
    text: str = ""
    more: str = ""
    resumable: bool = False
    exit_code: int = 0
    blame: int = ENDED
    time: float = 0.0
    result: Mapping[str, Any] | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended before its time, and not because it was asked to."""
        return self.error not in ("", TrainingStopped.__name__)

    def to_plain(self) -> dict[str, Any]:
        """For other machines."""
        return asdict(self)

    def raise_error(self, hint: str) -> NoReturn:
        """Raises the error that it tells, with a hint how to go on where that can help."""
        text = f"{self.text}; {hint}" if self.resumable else self.text
        if self.error == TrainingStopped.__name__:
            raise TrainingStopped(text, self.exit_code) from None
        kind = getattr(errors, self.error, None)
        raise (kind if isinstance(kind, type) and issubclass(kind, SegkitError) else RuntimeError)(
            text + self.more
        ) from None


def outcome_of_error(error: BaseException, *, blame: int = FAILED) -> Outcome:
    """The outcome of a launcher that raised."""
    if isinstance(error, TrainingStopped):
        return Outcome(type(error).__name__, str(error), exit_code=error.exit_code)
    if isinstance(error, SegkitError):
        return Outcome(type(error).__name__, str(error), blame=blame, time=time.time())
    return Outcome("RuntimeError", f"{type(error).__name__}: {error}", blame=blame, time=time.time())


def outcome_of_failures(
    failures: Mapping[int, ProcessFailure], folder: RunFolder, places: Mapping[int, str], machine: str
) -> Outcome:
    """The outcome of processes of which some failed: that of the first; the others fail because of it.

    Args:
        failures: by rank.
        folder: of the run.
        places: where every process was, by rank.
        machine: name of this machine; "" if there is one only.
    """
    told = [f.error_file_data["segkit"]["time"] for f in failures.values() if "segkit" in f.error_file_data]
    by_agent = bool(told) and time.time() - min(told) > _AGENT_KILLS_AFTER_S
    rank, failure = min(failures.items(), key=lambda item: _order(item[1], by_agent))
    blame, at = _order(failure, by_agent)
    name = f"process {rank} on {machine}" if machine else f"process {rank}"
    outcome = _describe(name, failure, places.get(rank, ""))
    if failure.error_file_data.get("segkit", {}).get("lost"):
        outcome = replace(outcome, text=f"{name} waited for another in vain ({describe(places)}): {outcome.text}")
    if "segkit" not in failure.error_file_data:
        outcome = replace(outcome, more=_last_lines(folder, rank))
    return replace(outcome, blame=blame, time=at)


def _describe(name: str, failure: ProcessFailure, place: str) -> Outcome:
    details: dict[str, Any] = failure.error_file_data.get("segkit", {})
    where = f" at {place}" if place else ""
    if failure.exitcode < 0:
        number = signal.Signals(-failure.exitcode).name
        why = " (often: out of memory)" if number == "SIGKILL" else ""
        text = f"{name} (pid {failure.pid}) was ended by {number}{why}{where}"
        return Outcome("TrainingError", text, resumable=True)
    if details.get("lost"):
        return Outcome("TrainingError", details["text"].partition("\n")[0], resumable=True)
    if details.get("user"):
        return Outcome(details["kind"], details["text"])
    if details:
        callstack = failure.error_file_data["message"]["extraInfo"]["py_callstack"]
        return Outcome("RuntimeError", f"{name} failed", more=f"\n\n{callstack}", resumable=True)
    return Outcome("RuntimeError", f"{name} ended with exit code {failure.exitcode}{where}", resumable=True)


def _last_lines(folder: RunFolder, rank: int) -> str:
    """What the process said last; rank 0 said it on the console."""
    log: Path = folder.process_log(rank)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "".join(f"\n{log}: {line}" for line in lines[-_LINES:])


def _order(failure: ProcessFailure, killed_by_agent: bool) -> tuple[int, float]:
    """(blame, time). After an error the agent ends the other processes, by SIGTERM and in the end by SIGKILL."""
    details = failure.error_file_data.get("segkit", {})
    if failure.exitcode < 0:
        ended = failure.exitcode == -signal.SIGTERM or (failure.exitcode == -signal.SIGKILL and killed_by_agent)
        blame = ENDED if ended else KILLED
    else:
        blame = WAITED if details.get("lost") or not details else FAILED
    return blame, details.get("time", float(failure.timestamp))
