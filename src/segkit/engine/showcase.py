"""What an evaluation leaves to look at: overlays, the run's page, the worst and the best images."""

import time
from collections.abc import Mapping, Sequence
from typing import Literal

import cv2
import numpy as np
from torch import nn

from segkit.engine.evaluator import Evaluator
from segkit.engine.log import RunLog
from segkit.engine.progress import Progress
from segkit.engine.records import Record, read_log
from segkit.engine.report import draw_overlays
from segkit.engine.run_page import RunView, State, change_state, duration, render_page
from segkit.files import write_file
from segkit.inference.gallery import Gallery
from segkit.metrics.scores import Scores
from segkit.types import ClassInfo

_GAPS = 3
"""How much longer than ever before a run must have been silent to be taken for dead."""
_PATIENCE_S = 60.0
"""No run is, before that."""


class Showcase:
    """Shows the evaluations of one run. All processes make galleries; the one that writes the log shows them.

    Args:
        log: of the run.
        info: names and colours of the classes.
        num_images: of the validation split.
    """

    def __init__(self, log: RunLog, info: ClassInfo, num_images: int) -> None:
        self.log = log
        self.info = info
        self.config = log.config
        count = min(self.config.logger.num_overlays, num_images)
        self.places: list[int] = np.unique(np.linspace(0, num_images - 1, count, dtype=int)).tolist()
        self.prefix: Literal["", "ema/"] = "ema/" if self.config.trainer.monitor.startswith("ema/") else ""
        self._gap_s = 0.0
        self._spoke = time.monotonic()

    def alive(self) -> None:
        """Says on the run's page, if there is one, that the run goes on: a run that is killed cannot say that."""
        if not self.log.speaks:
            return
        try:
            change_state(self.log.folder.report, "running", self._speak())
        except OSError as error:  # a full disk ends a training where it must save, not here
            self.log.say(f"{self.log.folder.report} could not be written: {error}")

    def _speak(self) -> float:
        """Notes that the page speaks now; seconds to wait for its next word, by the longest silence so far."""
        now = time.monotonic()
        self._gap_s, self._spoke = max(self._gap_s, now - self._spoke), now
        return max(_GAPS * self._gap_s, _PATIENCE_S)

    def gallery(self) -> Gallery:
        """For an evaluation of the weights that ``trainer.monitor`` judges."""
        logger = self.config.logger
        return Gallery(self.places, logger.num_ranked if logger.report else 0)

    def evaluated(self, progress: Progress, epoch: int, scores: Mapping[str, Scores], gallery: Gallery) -> None:
        """Shows an evaluation; the time it takes does not count as training."""
        if not self.log.speaks:
            return
        began = time.perf_counter()
        self._write_overlays(gallery, progress.step)
        best = progress.best_step == progress.step
        text = f"epoch {epoch}, the best so far" if best else f"epoch {epoch}; the best was epoch {progress.best_epoch}"
        self._write_page("running", text, progress, scores[self.prefix], gallery)
        self.log.watch.leave_out(time.perf_counter() - began)

    def finished(self, progress: Progress, scores: Scores, evaluator: Evaluator, model: nn.Module) -> None:
        """Shows the checkpoint to use, whose weights ``model`` has, once the training has ended."""
        gallery = self._recall(progress.best_step or progress.evaluated_step, evaluator, model)
        self._write_overlays(gallery, None)
        text = f"epoch {progress.best_epoch}, the best" if progress.best_value is not None else "the end"
        self._write_page("finished", text, progress, scores, gallery)

    def _recall(self, step: int, evaluator: Evaluator, model: nn.Module) -> Gallery:
        """The gallery of an earlier evaluation, which the log has the places of; the model looks at them again."""
        gallery = self.gallery()
        record = next((r for r in read_log(self.log.folder.log) if r["kind"] == "val" and r["step"] == step), {})
        worst, best = ([int(place) for _, place, _ in record.get(key, ())] for key in ("worst_images", "best_images"))
        seen = {one.place: one for one in evaluator.examples(model, [*self.places, *worst, *best])}
        gallery.shown, gallery.worst, gallery.best = (
            [seen[place] for place in places] for places in (self.places, worst, best)
        )
        return gallery

    def _write_overlays(self, gallery: Gallery, step: int | None) -> None:
        """The pictures that are always of the same images; ``step`` is that of a new evaluation, for the services."""
        if not gallery.shown:
            return
        grid = draw_overlays(gallery.shown, self.info)
        cv2.imwrite(str(self.log.folder.overlays), grid[..., ::-1])
        if step is not None:
            self.log.image("val/overlays", grid, step)

    def _write_page(self, state: State, evaluation: str, progress: Progress, scores: Scores, gallery: Gallery) -> None:
        if not self.config.logger.report:
            return
        folder, log = self.log.folder, self.log
        records = read_log(folder.log)
        view = RunView(
            title=self.config.trainer.name or folder.path.name,
            place=str(folder.path.absolute()),
            state=state,
            config=self.config,
            info=self.info,
            records=records,
            scores=scores,
            prefix=self.prefix,
            evaluation=evaluation,
            gallery=gallery,
            tiles=_tiles(self.config.trainer.monitor, progress, scores, records)
            | {"steps": f"{progress.step} of {log.total_steps}", "time": duration(progress.time_s)},
            patience_s=self._speak(),
            command=f"segkit-predict {folder.best if folder.best.exists() else folder.last} YOUR_IMAGES",
        )
        try:
            write_file(folder.report, render_page(view))
        except OSError as error:  # a full disk ends a training where it must save, not here
            log.say(f"{folder.report} could not be written: {error}")


def _tiles(monitor: str, progress: Progress, scores: Scores, records: Sequence[Record]) -> dict[str, str]:
    """The figures that one looks for first."""
    named = {"mean IoU": "miou", "pixel accuracy": "all_accuracy"}
    tiles = {name: f"{100 * scores.overall[metric]:.2f}" for name, metric in named.items()}
    if progress.best_value is not None:
        tiles[f"best {monitor}, epoch {progress.best_epoch}"] = f"{100 * progress.best_value:.2f}"
    last = next((record for record in reversed(records) if record["kind"] == "train"), None)
    if last is not None:
        tiles |= {
            "training loss": f"{last['loss']:.4f}",
            "images per second": f"{last['images_per_s']:.1f}",
            "seconds a step": f"{last['step_s']:.3g}",
            "waiting for data": f"{100 * last['data_wait']:.0f} %",
            "peak memory": f"{last['memory_gb']:.2f} GB",
        }
    return tiles
