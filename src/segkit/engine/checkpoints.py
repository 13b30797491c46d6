"""Which checkpoints a run keeps: the last, the best, and some more."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit.checkpoint import write_checkpoint
from segkit.engine.run import RunFolder


class Checkpoints:
    """Writes the checkpoints of a run; rank 0 calls it alone.

    Args:
        folder: of the run.
        keep: checkpoints of finished epochs kept beside ``last`` and ``best``.
    """

    def __init__(self, folder: RunFolder, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, payload: Mapping[str, Any], *, epoch: int | None = None, best: bool = False) -> None:
        """Writes ``last``, and under further names without writing it again.

        Args:
            payload: see :func:`segkit.checkpoint.write_checkpoint`.
            epoch: passes done, where the checkpoint ends one that is to be kept.
            best: whether it is the best so far.

        Raises:
            CheckpointError: if the disk is full or the folder cannot be written; the older files are untouched.
        """
        write_checkpoint(self.folder.last, payload)
        self.link(epoch=epoch, best=best)

    def tidy(self) -> None:
        """Removes what a run that was killed in the middle of a save left unfinished."""
        for unfinished in self.folder.checkpoints.glob("*.tmp"):
            unfinished.unlink()

    def link(self, *, epoch: int | None, best: bool) -> None:
        """Gives ``last`` its further names; again after a run was killed before it had done so."""
        if best:
            _link(self.folder.last, self.folder.best)
        if epoch is not None and self.keep:
            _link(self.folder.last, self.folder.checkpoints / f"epoch-{epoch:04d}.pt")
            for old in sorted(self.folder.checkpoints.glob("epoch-*.pt"))[: -self.keep]:
                old.unlink()


def _link(source: Path, target: Path) -> None:
    """A second name for a file that is never changed in place; a copy where the file system has no links."""
    if target.exists() and target.samefile(source):
        return  # to rename one name of a file to another one does nothing, and leaves both
    temporary = target.with_name(f"{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)
