"""Cross entropy of enlarged logits: summed in bands of rows, against the whole at once."""

import json
import subprocess
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

_CLASSES, _STRIDE, _SIZE = 150, 8, 512
_BATCH = 16
_ROUNDS = 3


def run() -> None:
    """Prints time and peak memory of loss and gradient, each way in its own process: peaks never fall."""
    title = f"cross entropy, {_BATCH} x {_CLASSES} x {_SIZE} x {_SIZE} from 1/{_STRIDE} of the size, CPU"
    table = Table("", "s", "of whole", "memory above the start, GB", "of whole", title=title)
    whole, banded = _measure("whole"), _measure("bands")
    table.add_row("enlarged as a whole", f"{whole['time_s']:.2f}", "", f"{whole['memory_gb']:.2f}", "")
    shares = (banded[key] / whole[key] for key in ("time_s", "memory_gb"))
    figures = (f"{banded['time_s']:.2f}", f"{banded['memory_gb']:.2f}")
    table.add_row(
        "in bands", *(cell for figure, share in zip(figures, shares, strict=True) for cell in (figure, f"{share:.2f}"))
    )
    console = Console()
    console.print(table)
    difference = max(abs(banded[key] - whole[key]) / abs(whole[key]) for key in ("loss", "gradient_norm"))
    console.print(f"saved: {whole['memory_gb'] - banded['memory_gb']:.2f} GB; relative difference {difference:.1e}")


def _measure(way: str) -> dict[str, float]:
    command = [sys.executable, "-m", "segkit.cli.benchmark_loss", way]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def _child(way: str) -> dict[str, Any]:
    import torch

    from segkit.config.losses import CrossEntropyLossConfig
    from segkit.engine.meters import peak_memory_gb
    from segkit.losses.criterion import Criterion
    from segkit.ops import rows
    from segkit.registry import LOSSES

    if way == "whole":
        rows.BAND_BYTES["cpu"] = 2**62
    draw = torch.Generator().manual_seed(0)
    cells = _SIZE // _STRIDE
    logits = torch.randn(_BATCH, _CLASSES, cells, cells, generator=draw, requires_grad=True)
    target = torch.randint(0, _CLASSES, (_BATCH, _SIZE, _SIZE), generator=draw)
    criterion = Criterion({"main": {"ce": LOSSES.build(CrossEntropyLossConfig(), _CLASSES)}}, {"main": 1.0}, False)
    before, times, loss = peak_memory_gb(), [], torch.zeros(())
    for _ in range(_ROUNDS):
        logits.grad = None
        start = time.perf_counter()
        loss = criterion({"main": logits}, target)["main.ce"]
        loss.backward()
        times.append(time.perf_counter() - start)
    gradient = logits.grad if logits.grad is not None else torch.zeros(())
    memory = peak_memory_gb() - before
    return {"time_s": min(times), "memory_gb": memory, "loss": loss.item(), "gradient_norm": gradient.norm().item()}


if __name__ == "__main__":
    print(json.dumps(_child(sys.argv[1])))
