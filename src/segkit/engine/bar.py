"""The live bar on a terminal."""

from collections.abc import Mapping
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from segkit.engine.meters import Stopwatch, peak_memory_gb
from segkit.engine.watch import Report


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
        self._report: Report | None = None
        self._epoch, self._lr = 0, 0.0
        self._grad_norm: float | None = None
        self._live = Live(
            console=console, get_renderable=self._draw, refresh_per_second=5, transient=True, vertical_overflow="crop"
        )
        self._live.start()

    def step(self, report: Report, *, epoch: int, lr: float) -> None:
        """A step is done."""
        self._report, self._epoch, self._lr = report, epoch, lr
        if report.grad_norm is not None:  # it is computed now and then only
            self._grad_norm = report.grad_norm
        self._progress.update(self._training, completed=report.step)

    def evaluating(self, done: int, total: int) -> None:
        """``done`` of ``total`` images are evaluated; the second bar goes away after the last."""
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
        report, (step_s, wait) = self._report, self.watch.now()
        if report is None:
            return self._progress
        if step_s:
            left_s = (self.total_steps - self._progress.tasks[0].completed) * step_s
            self._progress.update(self._training, eta=f"eta {timedelta(seconds=round(left_s))}")
        training = (
            f"epoch {self._epoch}/{self.total_epochs}",
            loss_text(report.terms),
            f"lr {self._lr:.3g}",
            "" if self._grad_norm is None else f"gradient {self._grad_norm:.3g}",
        )
        speed = f"{step_s:.3g} s/step  {self.batch_size / step_s:.3g} images/s  data wait {wait:.0%}" if step_s else ""
        machine = (speed, f"{peak_memory_gb():.2f} GB")
        lines = ("  ".join(filter(None, words)) for words in (training, machine))
        return Group(self._progress, *(Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in lines))


def loss_text(terms: Mapping[str, float]) -> str:
    """The loss, and its parts if it has several."""
    parts = " + ".join(f"{name} {value:.4f}" for name, value in terms.items())
    return f"loss {sum(terms.values()):.4f}" + (f" = {parts}" if len(terms) > 1 else "")
