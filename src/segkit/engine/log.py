"""What a training says while it runs: console, JSON lines, TensorBoard. Rank 0 alone speaks."""

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segkit.config.training import LoggerConfig
from segkit.engine.progress import Progress as Position
from segkit.engine.run import RunFolder
from segkit.engine.watch import Report
from segkit.metrics.scores import Scores
from segkit.types import ClassInfo

T = TypeVar("T")

_SHOWN = ("miou", "all_accuracy")
"""Metrics of an evaluation that the console tells; the log has all."""


class Meter:
    """Means of the terms of the loss since the last line; part of the checkpoint, so a resumed log has no seam."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: dict[str, float] = {}

    def add(self, terms: Mapping[str, float]) -> None:
        """Takes in one step."""
        self.count += 1
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        """The means, and starts anew."""
        means = {name: value / self.count for name, value in self.sums.items()}
        self.count, self.sums = 0, {}
        return means

    def to_plain(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"count": self.count, "sums": dict(self.sums)}

    def load(self, tree: Mapping[str, Any]) -> None:
        """From the checkpoint."""
        self.count, self.sums = tree["count"], dict(tree["sums"])


class Stopwatch:
    """Speed since the last line: steps, seconds, and the seconds among them spent waiting for data."""

    def __init__(self) -> None:
        self.steps = 0
        self.wait_s = 0.0
        self.began = time.perf_counter()
        self._outside_s = 0.0

    def waiting(self, items: Iterable[T]) -> Iterator[T]:
        """Passes ``items`` on and notes how long each took to come."""
        iterator = iter(items)
        while True:
            began = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.wait_s += time.perf_counter() - began
            self.steps += 1
            yield item

    def leave_out(self, seconds: float) -> None:
        """Time that is no training, such as an evaluation."""
        self._outside_s += seconds

    def take(self) -> tuple[float, float]:
        """(seconds a step, share of them spent waiting), and starts anew."""
        now = time.perf_counter()
        elapsed = max(now - self.began - self._outside_s, 1e-9)
        figures = elapsed / max(self.steps, 1), min(self.wait_s / elapsed, 1.0)
        self.steps, self.wait_s, self.began, self._outside_s = 0, 0.0, now, 0.0
        return figures


class RunLog:
    """The log of one run.

    Args:
        folder: where to write.
        config: what to write.
        total_steps: optimiser steps of the whole training.
        total_epochs: passes of the whole training.
        batch_size: images of one step, over all processes.
        speaks: whether this process writes; on the others every call does nothing but keep the means.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: LoggerConfig,
        *,
        total_steps: int,
        total_epochs: int,
        batch_size: int,
        speaks: bool,
    ) -> None:
        self.folder = folder
        self.config = config
        self.total_steps = total_steps
        self.total_epochs = total_epochs
        self.batch_size = batch_size
        self.speaks = speaks
        self.meter = Meter()
        self.watch = Stopwatch()
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True, quiet=not speaks)
        self._bar: Progress | None = None
        self._file: Any = None
        self._board: Any = None

    def open(self, position: Position) -> None:
        """Begins to write, after what was logged up to ``position``."""
        if not self.speaks:
            return
        _cut(self.folder.log, position)
        self._file = self.folder.log.open("a", encoding="utf-8", buffering=1)  # a line is out when it is written
        if self.config.tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # half a second, which evaluation alone need not spend

            self._board = SummaryWriter(str(self.folder.tensorboard), purge_step=position.step + 1)
        if self.config.progress and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[figures]}"), console=self.console, transient=True)
            self._bar.add_task("training", total=self.total_steps, completed=position.step, figures="")
            self._bar.start()
        self.watch = Stopwatch()

    def close(self) -> None:
        """Ends the bar and the files."""
        self.end_bar()
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()
        self._file = self._board = None

    def end_bar(self) -> None:
        """Takes the bar away, where there is nothing to wait for any more."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        """A line for the person who watches."""
        self.console.print(text, markup=False)

    def step(self, report: Report, epoch: int, lr: float) -> dict[str, Any] | None:
        """Takes in a step of pass ``epoch``, counted from 1; every ``log_interval_steps`` it is told, and returned."""
        self.meter.add(report.terms)
        if not self.speaks:
            return None
        if self._bar is not None:
            figures = f"epoch {epoch}/{self.total_epochs}  loss {report.loss:.4f}"
            self._bar.update(self._bar.task_ids[0], completed=report.step, figures=figures)
        if report.step % self.config.log_interval_steps == 0 or report.step == self.total_steps:
            return self._line(report, epoch, lr)
        return None

    def _line(self, report: Report, epoch: int, lr: float) -> dict[str, Any]:
        means = self.meter.take()
        step_s, wait = self.watch.take()
        speed = self.batch_size / step_s
        record = {
            "kind": "train",
            "step": report.step,
            "epoch": epoch,
            "lr": lr,
            "loss": sum(means.values()),
            "terms": means,
            "grad_norm": report.grad_norm,
            "images_per_s": round(speed, 3),
            "step_s": round(step_s, 5),
            "data_wait": round(wait, 4),
            "memory_gb": round(peak_memory_gb(), 3),
        }
        self._write(record)
        self.say(_train_line(record, self, remaining_s=(self.total_steps - report.step) * step_s))
        scalars = {"loss": sum(means.values()), "lr": lr, "images_per_s": speed, "data_wait": wait}
        scalars |= {f"terms/{name}": value for name, value in means.items()} if len(means) > 1 else {}
        scalars |= {} if report.grad_norm is None else {"grad_norm": report.grad_norm}
        self._scalars("train", scalars, report.step)
        return record

    def validation(self, step: int, epoch: int, scores: Mapping[str, Scores], info: ClassInfo, seconds: float) -> None:
        """Tells an evaluation.

        Args:
            step: optimiser steps done.
            epoch: passes done.
            scores: of each model, by the prefix of its metrics: "" and "ema/".
            info: names of the classes.
            seconds: how long it took; they do not count as training.
        """
        self.watch.leave_out(seconds)
        if not self.speaks:
            return
        record: dict[str, Any] = {"kind": "val", "step": step, "epoch": epoch, "time_s": round(seconds, 3)}
        shown = []
        for prefix, score in scores.items():
            iou = dict(zip(info.names, score.per_class["iou"].tolist(), strict=True))
            record |= {f"{prefix}{name}": _finite(value) for name, value in score.overall.items()}
            record[f"{prefix}iou"] = {name: _finite(value) for name, value in iou.items()}
            self._scalars(f"val/{prefix}".rstrip("/"), score.overall, step)
            self._scalars(f"val_iou/{prefix}".rstrip("/"), iou, step)
            shown += [f"{prefix}{name} {score.overall[name]:.4f}" for name in _SHOWN]
        self._write(record)
        self.say(f"evaluation after epoch {epoch}: {'  '.join(shown)}  ({seconds:.1f} s)")

    def image(self, name: str, image: Any, step: int) -> None:
        """Shows a picture, (H, W, 3) uint8, in TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, image, step, dataformats="HWC")

    def _write(self, record: Mapping[str, Any]) -> None:
        if self._file is not None:
            stamp = datetime.now().astimezone().isoformat(timespec="milliseconds")
            self._file.write(json.dumps({**record, "time": stamp}) + "\n")

    def _scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        if self._board is not None:
            for name, value in values.items():
                if math.isfinite(value):
                    self._board.add_scalar(f"{group}/{name}", value, step)


def read_log(file: Path) -> list[dict[str, Any]]:
    """The records of a log; a line that a killed process left unfinished is left out."""
    records = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def _cut(file: Path, position: Position) -> None:
    """Takes out what was logged after ``position``: it is about to be done again."""
    if not file.exists():
        return
    done = [
        record
        for record in read_log(file)
        if record["step"] <= (position.step if record["kind"] == "train" else position.evaluated_step)
    ]
    temporary = file.with_name(f"{file.name}.tmp")
    temporary.write_text("".join(json.dumps(record) + "\n" for record in done), encoding="utf-8")
    temporary.replace(file)


def _train_line(record: Mapping[str, Any], log: RunLog, *, remaining_s: float) -> str:
    terms = record["terms"]
    parts = " + ".join(f"{name} {value:.4f}" for name, value in terms.items())
    return "  ".join(
        (
            f"epoch {record['epoch']}/{log.total_epochs}",
            f"step {record['step']}/{log.total_steps}",
            f"loss {record['loss']:.4f}" + (f" = {parts}" if len(terms) > 1 else ""),
            f"lr {record['lr']:.3g}",
            *(() if record["grad_norm"] is None else (f"gradient {record['grad_norm']:.3g}",)),
            f"{record['images_per_s']:.1f} images/s",
            f"data wait {100 * record['data_wait']:.0f}%",
            f"{record['memory_gb']:.2f} GB",
            f"eta {timedelta(seconds=round(remaining_s))}",
        )
    )


def peak_memory_gb() -> float:
    """The most memory held so far: of the GPU if there is one in use, else of this process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e9
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
