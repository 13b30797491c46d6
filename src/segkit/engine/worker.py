"""``python -m segkit.engine.worker RUN_DIR``: one of several processes, started by :mod:`segkit.engine.launch`.

Reads the frozen configuration of the run folder; Hydra is never imported, and nothing is composed twice.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

from segkit.engine.heartbeat import Heartbeat, is_lost_connection
from segkit.engine.process import die_with_parent, open_store, process_group, run_process
from segkit.engine.run import RunFolder, read_config
from segkit.errors import SegkitError, TrainingError


def main(run_dir: str) -> int:
    """Trains; returns the exit code. What went wrong is left for the launcher to tell, once for all processes."""
    die_with_parent()
    folder = RunFolder(Path(run_dir))
    try:
        config = read_config(folder.config)
        store, rank, world_size = open_store()
        with Heartbeat(store, rank, world_size) as heartbeat, process_group(config, store, rank, world_size):
            run_process(config, folder, heartbeat.at)
    except SegkitError as error:
        report_failure(error)
        return error.exit_code
    except BaseException as error:  # noqa: BLE001  # whatever it is, the launcher tells it
        if is_lost_connection(error):
            text = f"process {rank} waited for another in vain ({heartbeat.places()}): {str(error).splitlines()[0]}"
            report_failure(TrainingError(text), lost=True)
        else:
            report_failure(error)
        return 1
    return 0


def report_failure(error: BaseException, *, lost: bool = False) -> None:
    """Writes the error where the elastic agent, and so the launcher, finds it.

    Args:
        error: what ends this process.
        lost: whether another process is to blame.
    """
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path is None:
        traceback.print_exception(error)
        return
    now = time.time()
    details = {
        "kind": type(error).__name__,
        "user": isinstance(error, SegkitError),
        "exit_code": getattr(error, "exit_code", 1),
        "lost": lost,
        "time": now,
        "text": str(error),
    }
    callstack = "".join(traceback.format_exception(error))
    message = {"message": str(error), "extraInfo": {"py_callstack": callstack, "timestamp": str(int(now))}}
    Path(path).write_text(json.dumps({"message": message, "segkit": details}), encoding="utf-8")


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    if code:
        os._exit(code)  # other threads may wait for dead processes for ever
