"""Faults that strike a training from within, at a chosen place: the process kills itself there with SIGKILL.

As a plugin of the configuration it reads, in each training process, from an environment variable what is to happen.
"""

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import segkit.checkpoint
from segkit.engine.evaluator import Evaluator
from segkit.engine.step import TrainStep

VARIABLE = "SEGKIT_TEST_FAULT"
_FILE_EVENTS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.truncate", "shutil.copyfile"}


@dataclass(frozen=True)
class Fault:
    """What strikes where.

    Attributes:
        kind: ``file`` (before an operation on a file of the run), ``save`` (a part of a checkpoint is written),
            ``evaluation`` (before a batch), ``step`` (the gradients are there, the weights not yet updated),
            ``count`` (nothing; what could be struck is counted).
        number: which of them, from 1.
        share: of the checkpoint that is written, for ``save``.
        rank: the process that it strikes.
        folder: of the run.
    """

    kind: str
    number: int = 1
    share: float = 0.5
    rank: int = 0
    folder: str = ""

    def to_environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


def install(fault: Fault) -> None:
    """Makes the fault strike this process."""
    counts = dict.fromkeys(("file", "save", "evaluation", "step"), 0)

    def reached(kind: str) -> bool:
        counts[kind] += 1
        if fault.kind == "count":
            Path(f"{fault.folder}.counts").write_text(json.dumps(counts))
        return fault.kind == kind and counts[kind] == fault.number

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILE_EVENTS and os.getpid() == pid and str(arguments[0]).startswith(f"{fault.folder}/"):
            if event == "open" and not _writes(arguments):
                return
            if reached("file"):
                die()

    pid = os.getpid()  # loader processes inherit the hook
    sys.addaudithook(audit)
    _before(Evaluator, "_images", lambda: reached("evaluation"))
    _before(TrainStep, "_update", lambda: reached("step"))
    _tear_saves(fault, reached)


def _writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 else 0
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def _before(owner: type, name: str, strikes: Callable[[], bool]) -> None:
    original = getattr(owner, name)

    def struck(self: Any, *args: Any, **kwargs: Any) -> Any:
        if strikes():
            die()
        return original(self, *args, **kwargs)

    setattr(owner, name, struck)


def _tear_saves(fault: Fault, reached: Callable[[str], bool]) -> None:
    save = torch.save

    def torn(value: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        if reached("save"):
            whole = io.BytesIO()
            save(value, whole, *args, **kwargs)
            content = whole.getvalue()
            file.write(content[: int(fault.share * len(content))])
            file.flush()
            die()
        save(value, file, *args, **kwargs)

    segkit.checkpoint.torch.save = torn


def die() -> None:
    """As the machine would: no handler, no flush, no farewell."""
    os.kill(os.getpid(), signal.SIGKILL)


if VARIABLE in os.environ and "RANK" in os.environ:
    _fault = Fault(**json.loads(os.environ[VARIABLE]))
    if _fault.rank == int(os.environ["RANK"]):
        install(_fault)
