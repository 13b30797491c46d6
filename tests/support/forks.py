"""Training processes that are forked from their launcher: imports alone take longer than a training of a few steps.

All but the start of the interpreter is as in a real run: own session, environment, signal handlers, exit codes.
"""

import os
import signal
import subprocess
import sys
from typing import Any

from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

from segkit.engine import worker
from segkit.engine.signals import STOP_SIGNALS


class Forked(subprocess.Popen[bytes]):
    """``python -m segkit.engine.worker RUN_DIR CONFIG`` without the first part."""

    def _execute_child(self, args: Any, *options: Any) -> None:
        environment = options[5]
        self.pid = os.fork()
        if self.pid:
            self._child_created = True
            return
        code = 1
        try:
            os.setsid()
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # pytest's own write to files that are closed next
            os.closerange(3, 4096)
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            os.environ.clear()
            os.environ.update(environment)
            sys.modules.pop("support.faults", None)  # as a plugin it looks at the environment when it is imported
            code = worker.main(*args[-2:])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def fork_processes() -> None:
    """Makes the launcher, which is this process, fork."""
    subprocess_handler.Popen = Forked  # type: ignore[misc]
