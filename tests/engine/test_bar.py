"""What a person sees on a terminal while a training runs."""

import io
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console
from support.runs import TRAIN, tiny_config

from segkit.engine.bar import Bar
from segkit.engine.meters import Stopwatch
from segkit.engine.run import RunFolder
from segkit.engine.watch import Report


@pytest.fixture
def shown() -> Iterator[tuple[Bar, io.StringIO, Console]]:
    """A bar of 100 steps on a terminal in memory, with a training of 20 images a second."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    watch = Stopwatch()
    watch.steps, watch.wait_s = 10, 1.0
    watch.began = time.perf_counter() - 4.0
    bar = Bar(console, watch, total_steps=100, total_epochs=5, batch_size=8, done=10)
    yield bar, screen, console
    bar.stop()


def frame(bar: Bar) -> str:
    out = Console(file=io.StringIO(), width=160)
    out.print(bar._draw())
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def report(step: int, grad_norm: float | None) -> Report:
    terms = {"main.loss": 0.5, "aux.loss": 0.25}
    return Report(step, terms, False, grad_norm, torch.zeros(255, dtype=torch.bool), [], None)


def test_a_frame_tells_all(shown: tuple[Bar, io.StringIO, Console]) -> None:
    bar, _, _ = shown
    bar.step(report(20, 1.5), epoch=1, lr=0.0125)
    bar.step(report(21, None), epoch=2, lr=0.0125)
    text = frame(bar)
    assert "21/100" in text
    assert "epoch 2/5  loss 0.7500 = main.loss 0.5000 + aux.loss 0.2500  lr 0.0125  gradient 1.5" in text
    assert re.search(r"0\.4\d* s/step  (19|20)\.?\d* images/s  data wait 2[45]%  \d+\.\d\d GB", text)
    assert re.search(r"eta 0:00:3[12]", text)


def test_an_evaluation_has_a_bar_of_its_own(shown: tuple[Bar, io.StringIO, Console]) -> None:
    bar, _, _ = shown
    bar.evaluating(3, 10)
    assert re.search(r"evaluating .* 3/10", frame(bar))
    bar.evaluating(10, 10)
    assert "evaluating" not in frame(bar)


def test_lines_stand_above_the_bar_which_goes_away(shown: tuple[Bar, io.StringIO, Console]) -> None:
    bar, screen, console = shown
    bar.step(report(20, 1.5), epoch=1, lr=0.0125)
    console.print("a line")
    bar.stop()
    assert "a line\n" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")  # the last frame is erased


def test_on_a_real_terminal(tmp_path: Path) -> None:
    RunFolder(tmp_path / "input").create(tiny_config(scheduler={"max_epochs": 3}, logger={"log_interval_steps": 12}))
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "40", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(tmp_path / "input" / "config.yaml"), str(tmp_path / "run")]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    screen = b""
    try:
        while part := os.read(ours, 65536):
            screen += part
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    assert process.wait(timeout=600) == 0, screen.decode()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.decode())
    assert re.search(r"training .*/12", text)
    assert re.search(r"images/s  data wait \d+%  \d+\.\d\d GB\s", text)
    assert text.count("step 12/12") == 1  # the line of the log
