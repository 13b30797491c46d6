"""Small real trainings for tests, in this process or in others that can be killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from segkit.checkpoint import read_checkpoint
from segkit.config.backbones import TIMMBackboneConfig
from segkit.config.datasets import ShapesConfig
from segkit.config.heads import FCNConfig
from segkit.config.photometric import PhotoMetricDistortionConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.config.training import (
    DataloaderConfig,
    LoggerConfig,
    PolySchedulerConfig,
    SGDConfig,
    TrainerConfig,
)
from segkit.config.transforms import NormalizeConfig, RandomFlipConfig
from segkit.engine.records import read_log
from segkit.engine.run import RunFolder

TRAIN = """
import sys
from pathlib import Path
from segkit.cli.errors import user_errors
from segkit.engine.launch import train
from segkit.engine.run import read_config
if __name__ == "__main__":
    with user_errors():
        train(read_config(Path(sys.argv[1])), sys.argv[2])
"""
"""Trains as a command would: a user's mistake is one line and an exit code."""


def tiny_config(**parts: Any) -> SegmentorConfig:
    """4 epochs of 4 steps of 8 generated images, on a network of half a million weights.

    Args:
        parts: fields to change; those of a section as a dict, as in ``trainer={"seed": 1}``.
    """
    config = SegmentorConfig(
        dataset=ShapesConfig(
            image_size=(32, 48),
            num_train=32,
            num_val=5,
            train_transforms={
                "flip": RandomFlipConfig(),
                "photometric": PhotoMetricDistortionConfig(),
                "normalize": NormalizeConfig(),
            },
            val_transforms={"normalize": NormalizeConfig()},
        ),
        dataloader=DataloaderConfig(total_batch_size=8, num_workers=0),
        backbone=TIMMBackboneConfig(model_name="test_resnet", output_stride=8),
        head=FCNConfig(channels=16, num_convs=1),
        scheduler=PolySchedulerConfig(max_epochs=4, optimizer=SGDConfig(lr=0.05, weight_decay=1e-4)),
        trainer=TrainerConfig(
            name="tiny", accelerator="cpu", num_threads=1, eval_interval_epochs=2, save_interval_steps=3, scan_samples=0
        ),
        logger=LoggerConfig(log_interval_steps=1, tensorboard=False, num_overlays=0),
    )
    for name, value in parts.items():
        part = replace(getattr(config, name), **value) if isinstance(value, dict) else value
        config = replace(config, **{name: part})
    return config


def start(config: SegmentorConfig, folder: Path, *command: str) -> subprocess.Popen[str]:
    """Starts a training in a process of its own; stdout and stderr are joined."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    frozen = folder.with_name(f"{folder.name}-input")
    RunFolder(frozen).create(config)
    script = frozen / "train.py"
    script.write_text(TRAIN)
    arguments = [*(command or (sys.executable,)), str(script), str(frozen / "config.yaml"), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )


def finish(process: subprocess.Popen[str], *, timeout_s: float = 300) -> tuple[int, str]:
    """(exit code, output) of a process that ends by itself."""
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, output


def wait_for_step(process: subprocess.Popen[str], folder: Path, step: int, *, timeout_s: float = 300) -> None:
    """Returns once the log has this step."""
    deadline = time.monotonic() + timeout_s
    while max((r["step"] for r in read_log(RunFolder(folder).log)), default=0) < step:
        if process.poll() is not None or time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"never came to step {step}:\n{process.communicate()[0]}")
        time.sleep(0.01)


def last(folder: Path) -> dict[str, Any]:
    """What the run's last checkpoint holds."""
    return read_checkpoint(RunFolder(folder).last)


def assert_same_state(a: Path, b: Path) -> None:
    """Both runs end with the same bits: weights, average, optimiser, scaler, counters."""
    first, second = last(a), last(b)
    for key in ("model", "ema", "optimizer", "scaler", "scores", "log"):
        assert_same(first[key], second[key], key)
    for key in ("step", "evaluated_step", "best_value", "best_step"):
        assert first["progress"][key] == second["progress"][key], key


def assert_same(a: Any, b: Any, where: str) -> None:
    """Equal to the last bit, nan included."""
    if isinstance(a, torch.Tensor):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True, msg=lambda m: f"{where}: {m}")
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{index}]")
    else:
        assert a == b or (a != a and b != b), where


def losses(folder: Path) -> list[tuple[int, float]]:
    """(step, loss) of every training record."""
    return [(r["step"], r["loss"]) for r in read_log(RunFolder(folder).log) if r["kind"] == "train"]


def children(pid: int) -> list[int]:
    """Processes that ``pid`` started, in order; none if it is gone."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return sorted(map(int, found.split()))
