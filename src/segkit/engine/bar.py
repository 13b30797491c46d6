"""The live bar on a terminal."""

from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from segkit.engine.meters import Stopwatch, peak_memory_gb


@dataclass(frozen=True)
class _Shown:
    epoch: int = 0
    loss: float = 0.0
    lr: float = 0.0


class Bar:
    """How far the training is, and how fast; drawn a few times a second, by a thread of its own.

    Args:
        console: a terminal; lines printed on it stand above the bar.
        watch: of the training's speed.
        total_steps: of the training.
        total_epochs: of the training.
        batch_size: images of a step, over all processes.
        done: steps done already.
    """

    def __init__(
        self, console: Console, watch: Stopwatch, *, total_steps: int, total_epochs: int, batch_size: int, done: int
    ) -> None:
        self.watch = watch
        self.total_steps = total_steps
        self.total_epochs = total_epochs
        self.batch_size = batch_size
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[eta]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._training = self._progress.add_task("training", total=total_steps, completed=done, eta="")
        self._evaluation: TaskID | None = None
        self._shown = _Shown()
        self._live = Live(
            console=console, get_renderable=self._draw, refresh_per_second=5, transient=True, vertical_overflow="crop"
        )
        self._live.start()

    def step(self, step: int, *, epoch: int, loss: float, lr: float) -> None:
        """A step is done."""
        self._shown = _Shown(epoch, loss, lr)
        self._progress.update(self._training, completed=step)

    def evaluating(self, done: int, total: int) -> None:
        """``done`` of ``total`` batches are evaluated; the second bar goes away after the last."""
        if self._evaluation is None:
            self._evaluation = self._progress.add_task("evaluating", total=total, eta="")
        self._progress.update(self._evaluation, completed=done)
        if done == total:
            self._progress.remove_task(self._evaluation)
            self._evaluation = None

    def stop(self) -> None:
        """Takes the bar away."""
        self._live.stop()

    def _draw(self) -> RenderableType:
        shown, (step_s, wait) = self._shown, self.watch.now()
        if not shown.epoch:
            return self._progress
        left_s = (self.total_steps - self._progress.tasks[0].completed) * step_s
        if step_s:
            self._progress.update(self._training, eta=f"eta {timedelta(seconds=round(left_s))}")
        speed = f"{step_s:.3g} s/step  {self.batch_size / step_s:.3g} images/s  data wait {wait:.0%}" if step_s else ""
        figures = (
            f"epoch {shown.epoch}/{self.total_epochs}  loss {shown.loss:.4f}  lr {shown.lr:.3g}",
            speed,
            f"{peak_memory_gb():.2f} GB",
        )
        return Group(
            self._progress, Text("  ".join(filter(None, figures)), style="dim", overflow="ellipsis", no_wrap=True)
        )
