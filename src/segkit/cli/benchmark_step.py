"""The training step of PSPNet-R50-D8 on 2 x 256 x 256 pixels, CPU, against a plain PyTorch loop of the same network."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

_SIZE = 256
_BATCH = 2
_DTYPES = ("float32", "bfloat16")
_OVERHEAD_BAR = 0.03


def run(*, quick: bool = False) -> None:
    """Prints time and peak memory of a step, and what data, log and average add to it.

    Each measurement has a process of its own, since peak memory never falls, and the two sides take turns.

    Args:
        quick: fewer steps, for a first look.
    """
    steps, rounds = (2, 1) if quick else (5, 3)
    table = Table(
        "", "dtype", "step, s", "of plain", "peak memory, GB", "of plain", title="training step, PSPNet-R50-D8"
    )
    for dtype in _DTYPES:
        found: dict[str, list[dict[str, Any]]] = {"plain": [], "segkit": []}
        for _ in range(rounds):
            for side, results in found.items():
                results.append(_measure(side, dtype, steps))
        plain, ours = _summary(found["plain"]), _summary(found["segkit"])
        table.add_row("plain PyTorch loop", dtype, f"{plain[0]:.3f}", "", f"{plain[1]:.2f}", "")
        shares = (f"{ours[0] / plain[0]:.2f}", f"{ours[1] / plain[1]:.2f}")
        table.add_row("segkit", dtype, f"{ours[0]:.3f}", shares[0], f"{ours[1]:.2f}", shares[1])
    overhead = _measure("run", "float32", 2 * steps)
    console = Console()
    console.print(table)
    share = overhead["outside_s"] / overhead["inside_s"]
    verdict = "met" if share <= _OVERHEAD_BAR else "missed"
    parts = ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in overhead["parts"].items())
    console.print(
        f"loader, log and EMA add {100 * share:.1f} % to a step of {overhead['inside_s']:.3f} s "
        f"(bar {100 * _OVERHEAD_BAR:.0f} %, {verdict}): {parts}"
    )


def _summary(results: list[dict[str, Any]]) -> tuple[float, float]:
    """(median step time, peak memory in GB)."""
    times = [seconds for result in results for seconds in result["times"]]
    return statistics.median(times), max(result["memory_gb"] for result in results)


def _measure(side: str, dtype: str, steps: int) -> dict[str, Any]:
    """Runs :func:`_child` in a process of its own."""
    command = [sys.executable, "-m", "segkit.cli.benchmark_step", side, dtype, str(steps)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def _child(side: str, dtype: str, steps: int) -> dict[str, Any]:
    from segkit.engine.meters import peak_memory_gb

    if side == "run":
        return _whole_run(steps)
    step = {"plain": _plain_step, "segkit": segkit_step}[side](dtype)
    step()  # allocates what later steps reuse
    return {"times": [_timed(step) for _ in range(steps)], "memory_gb": peak_memory_gb()}


def _timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def pspnet(**parts: Any) -> Any:
    """The configuration that the benchmarks train: PSPNet-R50-D8 with an auxiliary head, but for ``parts``."""
    from segkit.config.backbones import ResNetConfig
    from segkit.config.datasets import CityScapesDatasetConfig
    from segkit.config.heads import AuxiliaryConfig, FCNConfig, PSPNetConfig
    from segkit.config.segmentor import SegmentorConfig

    auxiliary = AuxiliaryConfig(head=FCNConfig(channels=256, num_convs=1), level=-2, weight=0.4)
    defaults = {"dataset": CityScapesDatasetConfig(), "backbone": ResNetConfig(depth=50, output_stride=8)}
    return SegmentorConfig(**{**defaults, "head": PSPNetConfig(), "auxiliary": {"aux": auxiliary}, **parts})


def _pixels(classes: int) -> tuple[Any, Any]:
    """(N, 3, H, W) uint8 and (N, H, W) uint8."""
    import torch

    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (_BATCH, 3, _SIZE, _SIZE), generator=draw, dtype=torch.uint8)
    return images, torch.randint(0, classes, (_BATCH, _SIZE, _SIZE), generator=draw, dtype=torch.uint8)


def _plain_step(dtype: str) -> Callable[[], None]:
    """What one would write by hand, with torch's defaults."""
    import torch
    from torch.nn import functional

    from segkit.build import build_segmentor

    config = pspnet()
    model = build_segmentor(config).train()
    images, target = _pixels(len(config.dataset.classes))
    images, target = images.float() / 255, target.long()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            outputs = model.outputs(images)
            loss = torch.zeros(())
            for name, weight in (("main", 1.0), ("aux", 0.4)):
                logits = functional.interpolate(outputs[name], (_SIZE, _SIZE), mode="bilinear")
                loss = loss + weight * functional.cross_entropy(logits, target, ignore_index=255)
        loss.backward()
        optimizer.step()

    return step


def segkit_step(dtype: str) -> Callable[[], None]:
    """What takes one step, as the trainer does."""
    import torch

    from segkit.build import build_criterion, build_optimizer, build_segmentor, memory_format
    from segkit.config.training import AmpConfig, SGDConfig, TrainerConfig
    from segkit.data.preprocess import Preprocessor
    from segkit.engine.amp import Precision
    from segkit.engine.step import TrainModel, TrainStep
    from segkit.types import Batch

    config = pspnet(amp=AmpConfig(enabled=dtype == "bfloat16"))
    device = torch.device("cpu")
    precision = Precision(config.amp, device)
    layout = memory_format(config, device)
    segmentor: Any = build_segmentor(config).to(memory_format=layout)
    model = TrainModel(segmentor, build_criterion(config), precision).train()
    optimizer = build_optimizer(SGDConfig(lr=0.01, weight_decay=5e-4), segmentor)
    preprocess = Preprocessor((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), memory_format=layout)
    step = TrainStep(model, preprocess, optimizer, precision, TrainerConfig(), device)
    images, masks = _pixels(len(config.dataset.classes))
    boxes = torch.tensor([[0, 0, _SIZE, _SIZE]] * _BATCH)
    batch = Batch(images, masks, boxes, ["a"] * _BATCH, [(_SIZE, _SIZE)] * _BATCH)

    def once() -> None:
        step([batch])

    return once


def _whole_run(steps: int) -> dict[str, Any]:
    """Seconds of a step inside and outside of the step itself, in a real training with EMA and a line for each step."""
    import torch

    from segkit.config.datasets import ShapesConfig
    from segkit.config.photometric import PhotoMetricDistortionConfig
    from segkit.config.training import DataloaderConfig, EmaConfig, LoggerConfig, PolySchedulerConfig, TrainerConfig
    from segkit.config.transforms import NormalizeConfig, RandomFlipConfig
    from segkit.engine.run import RunFolder
    from segkit.engine.trainer import Trainer

    transforms = {"flip": RandomFlipConfig(), "photo": PhotoMetricDistortionConfig(), "normalize": NormalizeConfig()}
    config = pspnet(
        dataset=ShapesConfig(image_size=(_SIZE, _SIZE), train_transforms=transforms, num_val=1),
        dataloader=DataloaderConfig(total_batch_size=_BATCH, num_workers=1),
        ema=EmaConfig(enabled=True),
        scheduler=PolySchedulerConfig(max_steps=steps + 2),
        trainer=TrainerConfig(accelerator="cpu"),
        logger=LoggerConfig(log_interval_steps=1),
    )
    spent: dict[str, list[float]] = {}

    def clocked(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                spent.setdefault(name, []).append(time.perf_counter() - start)

        return timed

    with TemporaryDirectory() as folder:
        Path(folder, "run").mkdir()
        trainer: Any = Trainer(config, RunFolder(Path(folder, "run")), torch.device("cpu"))
        trainer.step = clocked("step", trainer.step)
        trainer.ema.update = clocked("EMA", trainer.ema.update)
        trainer.log.step = clocked("log", trainer.log.step)
        trainer._train_step = clocked("all but data", trainer._train_step)
        waiting = trainer.log.watch.__class__.waiting

        def counted(watch: Any, items: Any) -> Any:
            iterator = iter(items)
            return waiting(watch, iter(clocked("data", lambda: next(iterator, None)), None))

        trainer.log.watch.__class__.waiting = counted
        trainer.fit()
    mean = {name: statistics.mean(values[2 : steps + 2]) for name, values in spent.items()}  # the first steps warm up
    rest = mean["all but data"] - mean["step"] - mean["EMA"] - mean["log"]
    parts = {"data": mean["data"], "EMA": mean["EMA"], "log": mean["log"], "schedule and the rest": rest}
    return {"inside_s": mean["step"], "outside_s": sum(parts.values()), "parts": parts}


if __name__ == "__main__":
    print(json.dumps(_child(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
