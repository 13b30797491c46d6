"""What a training says while it runs: console, JSON lines, and the sinks that follow. Rank 0 alone speaks."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from segkit.config.segmentor import SegmentorConfig
from segkit.engine.bar import Bar, loss_text
from segkit.engine.meters import Meter, Stopwatch, peak_memory_gb
from segkit.engine.progress import Progress as Position
from segkit.engine.records import cut_log, finite, last_steps, read_log
from segkit.engine.run import RunFolder
from segkit.engine.sinks.base import Opening, Sink, Status
from segkit.engine.sinks.choose import open_sinks
from segkit.engine.watch import Report
from segkit.errors import TrainingStopped
from segkit.inference.gallery import Gallery
from segkit.metrics.scores import Scores
from segkit.types import ClassInfo

_SHOWN = ("miou", "all_accuracy")
"""Metrics of an evaluation that the console tells; the log has all."""


class RunLog:
    """The log of one run.

    Args:
        folder: where to write.
        config: of the run.
        total_steps: optimiser steps of the whole training.
        total_epochs: passes of the whole training.
        speaks: whether this process writes; on the others every call does nothing but keep the means.
    """

    def __init__(
        self, folder: RunFolder, config: SegmentorConfig, *, total_steps: int, total_epochs: int, speaks: bool
    ) -> None:
        self.folder = folder
        self.config = config
        self.total_steps = total_steps
        self.total_epochs = total_epochs
        self.batch_size = config.dataloader.total_batch_size
        self.speaks = speaks
        self.meter = Meter()
        self.watch = Stopwatch()
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True, quiet=not speaks)
        self._bar: Bar | None = None
        self._file: Any = None
        self._sinks: list[Sink] = []

    @contextmanager
    def open(self, position: Position) -> Iterator[None]:
        """Writes from here on, after what was logged up to ``position``; ends bar, file and sinks in the end.

        Raises:
            TrainingError: a service to send to does not let us in.
        """
        status: Status = "failed"
        try:
            self._open(position)
            yield
            status = "finished"
        except (TrainingStopped, KeyboardInterrupt):
            status = "stopped"
            raise
        finally:
            self._close(status)

    def _open(self, position: Position) -> None:
        if not self.speaks:
            return
        told = last_steps(read_log(self.folder.log))
        kept = cut_log(self.folder.log, position)
        for sink in open_sinks(Opening(self.config, self.folder, position, kept, told)):
            self._sinks.append(sink)
            if sink.place:
                self.say(sink.place)
        self._file = self.folder.log.open("a", encoding="utf-8", buffering=1)  # a line is out when it is written
        self.watch = Stopwatch()
        if self.config.logger.progress and self.console.is_terminal:
            self._bar = Bar(
                self.console,
                self.watch,
                total_steps=self.total_steps,
                total_epochs=self.total_epochs,
                batch_size=self.batch_size,
                done=position.step,
            )

    def _close(self, status: Status) -> None:
        self.end_bar()
        if self._file is not None:
            self._file.close()
            self._file = None
        for sink in list(self._sinks):
            self._try(sink, lambda sink: sink.close(status))
        self._sinks = []

    def end_bar(self) -> None:
        """Takes the bar away, where there is nothing to wait for any more."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        """A line for the person who watches."""
        self.console.print(text, markup=False)

    def due(self, step: int) -> bool:
        """Whether this step is told."""
        return step % self.config.logger.log_interval_steps == 0 or step == self.total_steps

    def step(self, report: Report, epoch: int, lr: float) -> dict[str, Any] | None:
        """Takes in a step of pass ``epoch``, counted from 1; every ``log_interval_steps`` it is told, and returned."""
        self.meter.add(report.terms)
        if not self.speaks:
            return None
        if self._bar is not None:
            self._bar.step(report, epoch=epoch, lr=lr)
        return self._line(report, epoch, lr) if self.due(report.step) else None

    def _line(self, report: Report, epoch: int, lr: float) -> dict[str, Any]:
        means = self.meter.take()
        step_s, wait = self.watch.take()
        record = {
            "kind": "train",
            "step": report.step,
            "epoch": epoch,
            "lr": lr,
            "loss": sum(means.values()),
            "terms": means,
            "grad_norm": finite(report.grad_norm),
            "images_per_s": round(self.batch_size / step_s, 3),
            "step_s": round(step_s, 5),
            "data_wait": round(wait, 4),
            "memory_gb": round(peak_memory_gb(), 3),
        }
        self._write(record)
        self.say(_train_line(record, self, remaining_s=(self.total_steps - report.step) * step_s))
        return record

    def evaluating(self, done: int, total: int) -> None:
        """``done`` of ``total`` images of an evaluation have been looked at."""
        if self._bar is not None:
            self._bar.evaluating(done, total)

    def validation(
        self,
        position: Position,
        epoch: int,
        scores: Mapping[str, Scores],
        info: ClassInfo,
        *,
        seconds: float,
        gallery: Gallery,
    ) -> None:
        """Tells an evaluation.

        Args:
            position: of the training; its step is that of the record.
            epoch: passes done.
            scores: of each model, by the prefix of its metrics: "" and "ema/".
            info: names of the classes.
            seconds: how long it took; they do not count as training.
            gallery: the worst and the best images are told, with their numbers and mean IoU.
        """
        self.watch.leave_out(seconds)
        if not self.speaks:
            return
        record: dict[str, Any] = {"kind": "val", "step": position.step, "epoch": epoch, "time_s": round(seconds, 3)}
        shown = []
        for prefix, score in scores.items():
            iou = dict(zip(info.names, score.per_class["iou"].tolist(), strict=True))
            record |= {f"{prefix}{name}": finite(value) for name, value in score.overall.items()}
            record[f"{prefix}iou"] = {name: finite(value) for name, value in iou.items()}
            shown += [f"{prefix}{name} {score.overall[name]:.4f}" for name in _SHOWN]
        for key, images in (("worst_images", gallery.worst), ("best_images", gallery.best)):
            record[key] = [[one.name, one.place, round(one.score, 6)] for one in images]
        self._write(record)
        self.say(f"evaluation after epoch {epoch}: {'  '.join(shown)}  ({seconds:.1f} s)")

    def image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """Shows a picture, (H, W, 3), wherever pictures can be shown."""
        for sink in list(self._sinks):
            self._try(sink, lambda sink: sink.image(name, image, step))

    def _write(self, record: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        stamp = datetime.now().astimezone().isoformat(timespec="milliseconds")
        self._file.write(json.dumps({**record, "time": stamp}) + "\n")
        for sink in list(self._sinks):
            self._try(sink, lambda sink: sink.record(record))

    def _try(self, sink: Sink, call: Any) -> None:
        """A service that fails ends no training: it is told, and left alone until the run is resumed."""
        try:
            call(sink)
        except Exception as error:  # noqa: BLE001  # whatever a service's client may raise
            self._sinks.remove(sink)
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self.say(f"{type(sink).__name__} stops here: {reason}; {self.folder.log} goes on, and resuming catches up")


def _train_line(record: Mapping[str, Any], log: RunLog, *, remaining_s: float) -> str:
    return "  ".join(
        (
            f"epoch {record['epoch']}/{log.total_epochs}",
            f"step {record['step']}/{log.total_steps}",
            loss_text(record["terms"]),
            f"lr {record['lr']:.3g}",
            *(() if record["grad_norm"] is None else (f"gradient {record['grad_norm']:.3g}",)),
            f"{record['step_s']:.3g} s/step",
            f"{record['images_per_s']:.1f} images/s",
            f"data wait {100 * record['data_wait']:.0f}%",
            f"{record['memory_gb']:.2f} GB",
            f"eta {timedelta(seconds=round(remaining_s))}",
        )
    )
