"""``python -m segkit.engine.worker RUN_DIR CONFIG``: one of several processes, started by :mod:`segkit.engine.launch`.

Reads the frozen configuration; Hydra is never imported, and nothing is composed twice.
"""

import faulthandler
import json
import os
import sys
import time
import traceback
from pathlib import Path

from segkit.engine.heartbeat import Heartbeat, is_lost_connection
from segkit.engine.notes import NOTES, Note
from segkit.engine.process import die_with_parent, open_store, process_group, run_process
from segkit.engine.run import RunFolder, read_config
from segkit.errors import SegkitError, TrainingStopped


def main(run_dir: str, config_file: str) -> int:
    """Trains; returns the exit code. What went wrong is left for the launcher to tell, once for all processes."""
    die_with_parent()
    faulthandler.enable()  # a crash in C leaves lines, too
    folder = RunFolder(Path(run_dir))
    heartbeat = None
    try:
        config = read_config(Path(config_file))
        store, rank, world_size = open_store()
        if rank != 0:
            _talk_to(folder.process_log(rank))
        note = Note(Path(os.environ[NOTES]) / str(rank))
        heartbeat = Heartbeat(store, rank, world_size, timeout_s=config.trainer.timeout_s, note=note)
        with heartbeat, process_group(config, store, rank, world_size):
            run_process(config, folder, heartbeat)
    except TrainingStopped:
        return 0  # an error would make the agent start the processes again; the run folder tells the launcher
    except SegkitError as error:
        report_failure(error)
        return error.exit_code
    except BaseException as error:  # noqa: BLE001  # whatever it is, the launcher tells it
        report_failure(error, lost=heartbeat is not None and is_lost_connection(error))
        return 1
    return 0


def _talk_to(log: Path) -> None:
    """Sends what this process says into a file: on one console, eight processes say everything eight times."""
    log.parent.mkdir(exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


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
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    if code:
        os._exit(code)  # other threads may wait for dead processes for ever
