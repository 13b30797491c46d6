"""The command that kills trainings at random points, with few of them here; ``--help`` tells how to try more."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("trials", "processes", "seed"),
    [
        (2, 1, 5),
        pytest.param(6, 1, 1000, marks=slow),
        pytest.param(2, 2, 1000, marks=slow),
    ],
)
def test_runs_survive(trials: int, processes: int, seed: int) -> None:
    script = Path(__file__).with_name("kill_points.py")
    numbers = ("--trials", str(trials), "--processes", str(processes), "--seed", str(seed))
    done = subprocess.run([sys.executable, str(script), *numbers], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    points = re.search(rf"{trials} of {trials} runs survived (\d+) kill points", done.stdout)
    assert points is not None, done.stdout
    assert int(points[1]) >= trials - 1, done.stdout  # a run may be over before anything strikes
