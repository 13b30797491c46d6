"""What it costs to be safe: the checks of each step, and a checkpoint, in a real training of PSPNet-R50-D8."""

import io
import statistics
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

_SIZE = 128
_BATCH = 2
_STEPS = 6
_SAVE_EVERY = 3
_BAR = 0.01
_NOTES = 2000


def run(*, quick: bool = False) -> None:
    """Prints the time of the checks of a step and of a checkpoint, each as a share of a step.

    Args:
        quick: fewer steps, for a first look.
    """
    spent, megabytes = _train(_STEPS // 2 if quick else _STEPS)
    step_s = statistics.median(spent["step"][2:])
    checks = {
        "classes that occur": spent["classes"],
        "loss, gradient and stop, agreed on": spent["post"],
        "reading them": spent["digest"],
    }
    rows = {name: statistics.median(times[2:]) for name, times in checks.items()}
    rows["where this process is (several processes)"] = 2 * _heartbeat_s()
    table = Table(
        "each step", "ms", "of a step", title=f"safety, PSPNet-R50-D8, {_BATCH} x {_SIZE} x {_SIZE}, {step_s:.2f} s"
    )
    for name, seconds in rows.items():
        table.add_row(name, f"{1000 * seconds:.3f}", f"{100 * seconds / step_s:.3f} %")
    total = sum(rows.values()) / step_s
    table.add_row("all", f"{1000 * sum(rows.values()):.3f}", f"{100 * total:.3f} %")
    save_s = statistics.median(spent["save"])
    console = Console()
    console.print(table)
    console.print(
        f"checks: {100 * total:.2f} % of a step (bar {100 * _BAR:.0f} %, {'met' if total <= _BAR else 'missed'})"
    )
    console.print(
        f"a checkpoint of {megabytes:.0f} MB (model, average, optimiser), on disk for sure: {1000 * save_s:.0f} ms, "
        f"{save_s / step_s:.2f} steps; {100 * save_s / step_s / 500:.3f} % of the time if one is saved each 500 steps"
    )


def _train(steps: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of each part, and megabytes of a checkpoint."""
    import torch

    import segkit.engine.step
    from segkit.cli.benchmark_step import pspnet
    from segkit.config.datasets import ShapesConfig
    from segkit.config.training import DataloaderConfig, EmaConfig, LoggerConfig, PolySchedulerConfig, TrainerConfig
    from segkit.config.transforms import NormalizeConfig
    from segkit.engine.run import RunFolder
    from segkit.engine.trainer import Trainer

    config = pspnet(
        dataset=ShapesConfig(image_size=(_SIZE, _SIZE), num_val=1, train_transforms={"normalize": NormalizeConfig()}),
        dataloader=DataloaderConfig(total_batch_size=_BATCH, num_workers=1),
        ema=EmaConfig(enabled=True),
        scheduler=PolySchedulerConfig(max_steps=steps),
        trainer=TrainerConfig(accelerator="cpu", save_interval_steps=_SAVE_EVERY, scan_samples=0),
        logger=LoggerConfig(tensorboard=False, progress=False, num_overlays=0, num_ranked=0, report=False),
    )
    spent: dict[str, list[float]] = {name: [] for name in ("step", "classes", "post", "digest", "save")}

    def clock(owner: Any, attribute: str, name: str) -> None:
        setattr(owner, attribute, _clocked(getattr(owner, attribute), spent[name]))

    with TemporaryDirectory() as temporary:
        folder = RunFolder(Path(temporary, "run"))
        folder.path.mkdir()
        with redirect_stdout(io.StringIO()):  # its log speaks to what is stdout now
            trainer: Any = Trainer(config, folder, torch.device("cpu"))
        clock(trainer, "step", "step")
        clock(trainer.watch, "post", "post")
        clock(trainer, "_digest", "digest")
        clock(trainer, "_save", "save")
        step_module: Any = segkit.engine.step
        original = step_module.classes_present
        clock(step_module, "classes_present", "classes")
        try:
            trainer.fit()
        finally:
            step_module.classes_present = original
        return spent, folder.last.stat().st_size / 1e6


def _clocked(call: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            times.append(time.perf_counter() - start)

    return timed


def _heartbeat_s() -> float:
    """Seconds that a process of several takes to note where it is; a step does so twice."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    from segkit.engine.heartbeat import Heartbeat
    from segkit.engine.notes import Note

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with TemporaryDirectory() as folder, Heartbeat(store, 0, 1, note=Note(Path(folder, "0"))) as heartbeat:
        start = time.perf_counter()
        for step in range(_NOTES):
            heartbeat.at(f"step {step}")
        return (time.perf_counter() - start) / _NOTES
