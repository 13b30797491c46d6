"""What the user sees while many files are segmented."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bar:
    """A bar over all files, and one for the raster or the video at work; nothing where there is no terminal.

    Args:
        total: files in all.
        visible: whether this process shows it.
    """

    def __init__(self, total: int, *, visible: bool) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not (visible and console.is_terminal)
        )
        self._files = self._progress.add_task("segmenting", total=total, speed="")
        self._began = time.perf_counter()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def advance(self, done: int) -> None:
        """``done`` files of all processes are done."""
        speed = done / (time.perf_counter() - self._began)
        text = f"{speed:.1f} a second" if speed >= 1 or not done else f"{1 / speed:.1f} s each"
        self._progress.update(self._files, completed=done, speed=text)

    @contextmanager
    def part(self, name: str) -> Iterator[Callable[[float], None]]:
        """A further bar while one large file is at work; the function takes the share that is done."""
        task = self._progress.add_task(name, total=100, speed="%")
        try:
            yield lambda share: self._progress.update(task, completed=round(100 * share))
        finally:
            self._progress.remove_task(task)
