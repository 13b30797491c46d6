"""Signals that ask a training to stop: noted, so that the step can end and be saved."""

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from segkit.errors import TrainingStopped

_NAMES = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP")  # USR2 is submitit's; not all exist everywhere
_REPEAT_S = 2.0


class StopSignals:
    """Context in which a signal to stop is noted instead of obeyed at once.

    A second Ctrl-C, not the echo of the first that the launcher passes on, interrupts at once.

    Attributes:
        received: the signal, None while there was none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0
        self._pid = os.getpid()
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                if hasattr(signal, name):
                    number = signal.Signals[name]
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return  # a forked loader worker: the training process ends it when the step is saved
        again = self.received is not None and time.monotonic() - self._at > _REPEAT_S
        if number == signal.SIGINT and again:
            raise KeyboardInterrupt
        if self.received is None:
            self.received, self._at = signal.Signals(number), time.monotonic()


def stopped(number: signal.Signals, step: int, folder: Path) -> TrainingStopped:
    """The error that ends a training which was asked to stop."""
    text = f"stopped by {number.name} after step {step}, which is saved; trainer.run_dir={folder} goes on from there"
    return TrainingStopped(text, 128 + number)
