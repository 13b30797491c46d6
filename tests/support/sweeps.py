"""Sweeps of trainings that take seconds, started as a user does."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from segkit.sweeps.folder import SweepFolder
from segkit.sweeps.status import JobStatus, survey

TINY = (
    "dataset.image_size=[32,48]",
    "dataset.num_train=16",
    "dataset.num_val=2",
    "dataset.train_transforms={flip: {type: RandomFlip}, normalize: {type: Normalize}}",
    "dataset.val_transforms={normalize: {type: Normalize}}",
    "dataloader={total_batch_size: 4, num_workers: 0}",
    "backbone={type: TIMMBackbone, model_name: test_resnet, output_stride: 8}",
    "head={type: FCN, channels: 16, num_convs: 1, dropout: 0.3}",
    "scheduler.max_epochs=1",
    "trainer={accelerator: cpu, num_threads: 1, eval_interval_epochs: 100, scan_samples: 0, grace_s: 20, keep_checkpoints: 0}",
    "logger={log_interval_steps: 1, tensorboard: false, num_overlays: 0, report: false, num_ranked: 0}",
)
"""4 steps of 4 generated images, on a network of half a million weights."""


def segkit(command: str, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs ``segkit-<command>`` to its end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **variables}
    return subprocess.run(
        [sys.executable, "-m", f"segkit.cli.{command}", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def states(sweep: Path) -> list[JobStatus]:
    """How far each job is, by number."""
    return survey(SweepFolder(sweep).jobs())


def wait_until(condition: Callable[[], bool], what: str, *, timeout_s: float = 240) -> None:
    """Returns once the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not so after {timeout_s:g} s: {what}"
        time.sleep(0.3)


def steps_done(run_dir: Path) -> int:
    """Steps that a run has told."""
    log = run_dir / "log.jsonl"
    return len([line for line in log.read_text().splitlines() if '"train"' in line]) if log.exists() else 0
