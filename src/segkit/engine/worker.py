"""``python -m segkit.engine.worker RUN_DIR``: one of several processes, started by :mod:`segkit.engine.launch`.

Reads the frozen configuration of the run folder; Hydra is never imported, and nothing is composed twice.
"""

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

from segkit.engine.process import open_store, process_group, run_process
from segkit.engine.run import RunFolder, read_config
from segkit.errors import SegkitError


def main(run_dir: str) -> int:
    """Trains; returns the exit code. What went wrong is left for the launcher to tell, once for all processes."""
    _die_with_parent()
    folder = RunFolder(Path(run_dir))
    try:
        config = read_config(folder.config)
        with process_group(config, *open_store()):
            run_process(config, folder)
    except SegkitError as error:
        report_failure(error)
        return error.exit_code
    except BaseException as error:  # noqa: BLE001  # whatever it is, the launcher tells it
        report_failure(error)
        return 1
    return 0


def report_failure(error: BaseException) -> None:
    """Writes the error where the elastic agent, and so the launcher, finds it."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path is None:
        traceback.print_exception(error)
        return
    now = time.time()
    details = {
        "kind": type(error).__name__,
        "user": isinstance(error, SegkitError),
        "exit_code": getattr(error, "exit_code", 1),
        "time": now,
        "text": str(error),
    }
    callstack = "".join(traceback.format_exception(error))
    message = {"message": str(error), "extraInfo": {"py_callstack": callstack, "timestamp": str(int(now))}}
    Path(path).write_text(json.dumps({"message": message, "segkit": details}), encoding="utf-8")


def _die_with_parent(interval_s: float = 1.0) -> None:
    """Ends this process when the launcher is gone, however it went: nobody would stop it, and it holds the folder."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(interval_s)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    if code:
        os._exit(code)  # other threads may wait for dead processes for ever
