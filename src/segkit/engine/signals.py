"""Signals that ask a training to stop, and a limit on its time: noted, so that the step can end and be saved."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Self

from segkit.errors import TrainingStopped

_NAMES = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP")  # USR2 is submitit's; not all exist everywhere
STOP_SIGNALS = tuple(signal.Signals[name] for name in _NAMES if hasattr(signal, name))
"""Signals that ask a training to stop."""
_REPEAT_S = 2.0
TIME_IS_UP = 75
"""Exit code of a run that used up trainer.max_hours: sysexits' EX_TEMPFAIL, "try again later"."""


class Reason(NamedTuple):
    """Why a training stops before its end, and the exit code that says so."""

    text: str
    exit_code: int


class StopSignals:
    """Context in which a signal to stop is noted instead of obeyed at once.

    A second Ctrl-C, not the echo of the first that the launcher passes on, interrupts at once.

    Args:
        max_hours: time for this process; None for any.
        grace_s: how long the training may take to leave once a signal came; then this process ends as it is.

    Attributes:
        received: the signal, None while there was none.
    """

    def __init__(self, max_hours: float | None = None, grace_s: float = 120.0) -> None:
        self.received: signal.Signals | None = None
        self.grace_s = grace_s
        self.max_hours = max_hours
        self._began = time.monotonic()
        self._at = 0.0
        self._pid = os.getpid()
        self._previous: dict[signal.Signals, Any] = {}
        self._noted = threading.Event()
        self._left = threading.Event()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                self._previous[number] = signal.signal(number, self._note)
            threading.Thread(target=self._limit, name="grace", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left.set()
        self._noted.set()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def reason(self) -> Reason | None:
        """Why to stop; None as long as nobody asks for it and there is time."""
        if self.received is not None:
            return Reason(f"stopped by {self.received.name}", 128 + self.received)
        if self.max_hours is not None and time.monotonic() - self._began > 3600 * self.max_hours:
            return Reason(f"stopped as trainer.max_hours={self.max_hours:g} are over", TIME_IS_UP)
        return None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return  # a forked loader worker: the training process ends it when the step is saved
        again = self.received is not None and time.monotonic() - self._at > _REPEAT_S
        if number == signal.SIGINT and again:
            raise KeyboardInterrupt
        if self.received is None:
            self.received, self._at = signal.Signals(number), time.monotonic()
            self._noted.set()

    def _limit(self) -> None:
        """Runs beside the training, which may be stuck."""
        self._noted.wait()
        if not self._left.wait(self.grace_s) and self.received is not None:
            text = f"{self.received.name} came {self.grace_s:g} s ago (trainer.grace_s), and the step is not saved yet"
            print(f"error: {text}; the last checkpoint counts", file=sys.stderr, flush=True)  # noqa: T201
            os._exit(128 + self.received)


def stopped(reason: Reason, step: int, folder: Path) -> TrainingStopped:
    """The error that ends a training which was asked to stop."""
    text = f"{reason.text} after step {step}, which is saved; trainer.run_dir={folder} goes on from there"
    return TrainingStopped(text, reason.exit_code)
