"""The run folder, made ready before a training starts, and taken away again if it never does."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segkit.config.segmentor import SegmentorConfig
from segkit.engine.rehearsal import rehearses
from segkit.engine.run import RunFolder, new_run_dir
from segkit.engine.run_page import change_state
from segkit.errors import ConfigError, Problem, TrainingStopped

_ON_REQUEST = (TrainingStopped, KeyboardInterrupt)


@contextmanager
def run_folder(config: SegmentorConfig, run_dir: str | Path | None) -> Iterator[RunFolder]:
    """The run folder; that of a rehearsal is gone afterwards."""
    if rehearses(config.trainer):
        with tempfile.TemporaryDirectory(prefix="segkit-") as temporary:
            yield RunFolder(Path(temporary))
    else:
        yield RunFolder(Path(run_dir) if run_dir is not None else new_run_dir(config))


@contextmanager
def prepared(config: SegmentorConfig, folder: RunFolder) -> Iterator[None]:
    """The run folder, with the frozen configuration; gone again if training failed before it wrote anything.

    What ends the training is told on the run's page, too; nobody could if this process itself were killed.
    """
    if config.trainer.resume == "never" and folder.is_used():
        text = f"is never, but {folder.path} holds a run; use another trainer.run_dir, or trainer.resume=auto"
        raise ConfigError([Problem("trainer.resume", text)])
    if folder.path.exists():
        with folder.locked():  # nobody is training there
            pass
    new = folder.create(config)
    try:
        yield
    except BaseException as error:
        if new:
            folder.discard_if_unused()
        with suppress(OSError):  # the disk may be what is full
            change_state(folder.report, "stopped" if isinstance(error, _ON_REQUEST) else "failed")
        raise


@contextmanager
def prepared_beside(config: SegmentorConfig, folder: RunFolder, machine: int) -> Iterator[None]:
    """The folder of a machine other than the first: machine 0's own where the disk is shared, else one like it."""
    new = not folder.path.exists()
    if not folder.config.exists():
        folder.create(config)
    folder.freeze(config, machine)
    try:
        yield
    except BaseException:
        if new:
            folder.discard_if_unused()
        raise
