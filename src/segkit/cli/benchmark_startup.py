"""How long a user waits for help, a configuration or an error, against importing torch first."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

_TRAIN = ["-m", "segkit.cli.train"]
_COMMANDS = {
    "segkit-train --help": [*_TRAIN, "--help"],
    "segkit-train --cfg job": [*_TRAIN, "--cfg", "job", "+experiment=pspnet_r101_ade20k"],
    "segkit-train with a typo": [*_TRAIN, "+experiment=quickstart", "scheduler.max_epoch=3"],
    "segkit-config show": ["-m", "segkit.cli.config", "show", "PSPNet"],
    "import torch, timm": ["-c", "import torch, timm"],
}
_BAR_S = 0.7


def run(repeats: int = 7) -> None:
    """Prints the median time of each command, and its ratio to importing torch and timm."""
    times = {name: _median(command, repeats) for name, command in _COMMANDS.items()}
    heavy = times["import torch, timm"]
    table = Table("command", "median, s", f"bar {_BAR_S} s", "times faster than torch's import", title="start-up")
    for name, seconds in times.items():
        verdict = "" if seconds == heavy else "met" if seconds <= _BAR_S else "missed"
        table.add_row(name, f"{seconds:.2f}", verdict, f"{heavy / seconds:.1f}")
    Console().print(table)


def _median(arguments: Sequence[str], repeats: int) -> float:
    def once() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
        return time.perf_counter() - start

    once()  # the first run fills the disk cache
    return statistics.median(once() for _ in range(repeats))
