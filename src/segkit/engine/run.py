"""The run folder: what a training leaves behind, and who may write there."""

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from segkit.config.component import to_plain
from segkit.config.segmentor import SegmentorConfig
from segkit.config.validate import validate
from segkit.errors import TrainingError, TrainingStopped
from segkit.files import write_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOCK_WAIT_S = 15.0
"""Workers and loaders of a killed run are gone by then."""


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The frozen configuration; ``segkit-train --config-dir`` is not needed to run it again."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The newest checkpoint, from which a run resumes."""
        return self.checkpoints / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best monitored metric."""
        return self.checkpoints / "best.pt"

    @property
    def log(self) -> Path:
        """One JSON object a line: training and validation records."""
        return self.path / "log.jsonl"

    @property
    def metrics(self) -> Path:
        """The final figures; its presence says that the run is complete."""
        return self.path / "metrics.json"

    @property
    def stopped(self) -> Path:
        """Why the run stopped before its end, with its state saved; absent if it goes on, is complete, or died."""
        return self.path / "stopped.json"

    def frozen(self, machine: int) -> Path:
        """The configuration as one of several machines reads it: the data may lie elsewhere there."""
        return self.config if machine == 0 else self.path / "logs" / f"machine-{machine}.yaml"

    def process_log(self, rank: int) -> Path:
        """What a process other than the first one says; the first one has the console."""
        return self.path / "logs" / f"process-{rank}.log"

    def table(self, kind: str) -> Path:
        """The log's records of one kind, train or val, as a table for spreadsheets."""
        return self.path / f"{kind}.csv"

    @property
    def overlays(self) -> Path:
        """Images, labels and predictions of some validation images, always the same."""
        return self.path / "overlays.png"

    @property
    def curves(self) -> Path:
        """Loss, monitored metric and learning rate over the steps."""
        return self.path / "curves.png"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def report(self) -> Path:
        """The run's page, for a browser."""
        return self.path / "index.html"

    @property
    def identities(self) -> Path:
        """Under which names services such as W&B know the run."""
        return self.path / "services.json"

    def is_used(self) -> bool:
        """Whether a training wrote here."""
        return self.last.exists() or self.log.exists()

    def is_busy(self) -> bool:
        """Whether a process of this machine is training here."""
        if fcntl is None or not (self.path / ".lock").exists():
            return False
        with (self.path / ".lock").open("a+", encoding="utf-8") as file:
            return not _try_lock(file.fileno())

    def create(self, config: SegmentorConfig) -> bool:
        """Makes the folder and writes the frozen configuration; returns whether the folder is new."""
        new = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        self.freeze(config, 0)
        return new

    def freeze(self, config: SegmentorConfig, machine: int) -> None:
        """Writes the configuration as a machine of this number is to read it."""
        file = self.frozen(machine)
        write_file(file, yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True))

    def discard_if_unused(self) -> None:
        """Removes the folder again if training failed before it wrote anything."""
        if {entry.name for entry in self.path.iterdir()} - {".lock", "logs"} == {self.config.name}:
            shutil.rmtree(self.path)
            for parent in self.path.parents[:2]:  # runs/<name>, if empty too
                if any(parent.iterdir()):
                    break
                parent.rmdir()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder against a second process that would train into it; freed even by SIGKILL.

        Raises:
            TrainingError: if another process holds it.
        """
        if fcntl is None:
            yield
            return
        with (self.path / ".lock").open("a+", encoding="utf-8") as file:
            deadline = time.monotonic() + _LOCK_WAIT_S
            while not _try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    file.seek(0)
                    holder = file.read().strip() or "another process"
                    raise TrainingError(f"{self.path}: {holder} is training into this folder; stop it, or use another")
                time.sleep(0.2)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            try:
                yield
            finally:  # closing alone would not do: loader processes have inherited the file, and take time to end
                fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True)
class RunResult:
    """What a finished training hands back.

    Attributes:
        run_dir: the run folder.
        metrics: the last evaluation: metric -> value in [0, 1]; those of the average are called ema/<metric>.
        best: value, epoch and step of the best monitored metric; empty where it was never defined.
        checkpoint: the checkpoint to use: the best, or the last where nothing was evaluated.
        step: optimiser steps done.
        epoch: passes over the training split done.
        time_s: seconds of training and evaluation, earlier parts of a resumed run included.
    """

    run_dir: Path
    metrics: Mapping[str, float]
    best: Mapping[str, float]
    checkpoint: Path
    step: int
    epoch: int
    time_s: float


def new_run_dir(config: SegmentorConfig) -> Path:
    """Where the results go: as configured, or runs/<name>/<date>-<time>."""
    if config.trainer.run_dir is not None:
        return config.trainer.run_dir
    base = Path("runs") / (config.trainer.name or "run")
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    path, count = base / stamp, 1
    while path.exists():
        count += 1
        path = base / f"{stamp}-{count}"
    return path


def read_config(file: Path) -> SegmentorConfig:
    """The configuration that :meth:`RunFolder.create` froze; needs no Hydra."""
    return validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def write_result(folder: RunFolder, result: RunResult, details: Mapping[str, Any]) -> None:
    """Writes the final figures, beside further ``details``."""
    tree = {
        "metrics": dict(result.metrics),
        "best": dict(result.best),
        "checkpoint": str(result.checkpoint.relative_to(folder.path)),
        "step": result.step,
        "epoch": result.epoch,
        "time_s": round(result.time_s, 3),
        **details,
    }
    write_file(folder.metrics, json.dumps(tree, indent=2) + "\n")


def read_figures(folder: RunFolder) -> dict[str, Any]:
    """What a run wrote into its folder in the end."""
    figures: dict[str, Any] = json.loads(folder.metrics.read_text(encoding="utf-8"))
    return figures


def result_of(folder: RunFolder, figures: Mapping[str, Any]) -> RunResult:
    """The result that such figures tell."""
    return RunResult(
        folder.path,
        metrics=figures["metrics"],
        best=figures["best"],
        checkpoint=folder.path / figures["checkpoint"],
        step=figures["step"],
        epoch=figures["epoch"],
        time_s=figures["time_s"],
    )


def write_stop(folder: RunFolder, error: TrainingStopped, *, step: int) -> None:
    """Notes that the run stopped on request."""
    tree = {"text": str(error), "exit_code": error.exit_code, "step": step}
    write_file(folder.stopped, json.dumps(tree, indent=2) + "\n")


def read_stop(folder: RunFolder) -> TrainingStopped | None:
    """The error of a run that stopped on request, None if it did not."""
    if not folder.stopped.exists():
        return None
    tree = json.loads(folder.stopped.read_text(encoding="utf-8"))
    return TrainingStopped(tree["text"], tree["exit_code"])
