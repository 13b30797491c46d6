"""Work that several processes of this machine do together, started from here."""

import json
import logging
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from segkit import errors
from segkit.errors import SegkitError

_RESULT = "result"


def run_apart(work: Callable[..., Any], arguments: tuple[Any, ...], processes: int) -> Any:
    """Runs ``work(rank, folder, *arguments)`` in each of ``processes`` and waits for them.

    Args:
        work: a function of a module; ``folder`` is a temporary one for what they tell each other.
        arguments: what can be pickled.
        processes: how many.

    Returns:
        What the first process's ``work`` returned.

    Raises:
        SegkitError: that of the first process that raised one; the others are ended.
    """
    with tempfile.TemporaryDirectory(prefix="segkit-") as folder:
        logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # it tells whom it ends
        try:
            spawn(_process, (work, folder, arguments), nprocs=processes)
        except (ProcessRaisedException, ProcessExitedException):
            told = sorted(Path(folder).glob("error-*.json"))
            if not told:
                raise
            error = json.loads(told[0].read_text(encoding="utf-8"))
            raise getattr(errors, error["kind"], SegkitError)(error["text"]) from None
        return pickle.loads((Path(folder) / _RESULT).read_bytes())  # as spawn hands over the arguments


def _process(rank: int, work: Callable[..., Any], folder: str, arguments: tuple[Any, ...]) -> None:
    """One of the processes; a user's mistake is left in a file for the first one to tell."""
    os.environ["LOCAL_RANK"] = str(rank)
    try:
        result = work(rank, folder, *arguments)
        if rank == 0:
            (Path(folder) / _RESULT).write_bytes(pickle.dumps(result))
    except SegkitError as error:
        told = json.dumps({"kind": type(error).__name__, "text": str(error)})
        (Path(folder) / f"error-{rank}.json").write_text(told, encoding="utf-8")
        raise
