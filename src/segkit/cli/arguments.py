"""What the commands that start from a checkpoint have in common: their arguments."""

import argparse
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segkit.errors import CheckpointError, ConfigError, Problem

Change = Callable[[dict[str, Any]], None]

_PROCESSES = "trainer.devices"


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say which model, and how it looks at images."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="file of segkit-train: .../checkpoints/best.pt")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...; default: the GPU if there is one")
    parser.add_argument(
        "--weights",
        choices=("auto", "model", "ema"),
        default="auto",
        help="the weights as trained, their average, or (default) those that trainer.monitor judged checkpoints by",
    )
    parser.add_argument(
        "--tta", action="store_true", help="several looks at each image, averaged: inference.tta.scales and .flip"
    )


def is_override(argument: str) -> bool:
    """Whether a positional argument is ``key=value``, and not a file with such a name."""
    return re.match(r"[+~]*[A-Za-z_][\w./]*=", argument) is not None and not Path(argument).exists()


def require_checkpoint(path: str) -> None:
    """Says at once, before torch is loaded, that there is no such file.

    Raises:
        CheckpointError: if it is absent.
    """
    if not Path(path).exists():
        raise CheckpointError(f"{path}: no such checkpoint")


def looks_several_times(args: argparse.Namespace, lines: Sequence[str]) -> bool:
    """Whether each image is looked at several times, as one of the arguments or a change of its settings asks for."""
    return bool(args.tta) or any(line.lstrip("+").startswith("inference.tta") for line in lines)


def on_devices(change: Change, device: str | None, processes: int) -> Change:
    """The change of a configuration, and where several processes are to compute: each takes a device of this kind."""

    def change_too(tree: dict[str, Any]) -> None:
        change(tree)
        if device and (processes > 1 or "LOCAL_RANK" in os.environ):
            tree["trainer"] = {**tree["trainer"], "accelerator": device.split(":")[0]}

    return change_too


def take_processes(lines: Sequence[str]) -> tuple[int, list[str]]:
    """How many processes ``trainer.devices=N`` asks for, and the other changes.

    It is no change of the configuration, whose batch size was chosen for the processes of the training.

    Raises:
        ConfigError: it is no positive number.
    """
    named = [line for line in lines if line.lstrip("+").startswith(f"{_PROCESSES}=")]
    rest = [line for line in lines if line not in named]
    if not named:
        return 1, rest
    value = named[-1].partition("=")[2]
    if not value.isdecimal() or int(value) < 1:
        raise ConfigError([Problem(_PROCESSES, f"must be a positive integer (got {value!r})", "on the command line")])
    return int(value), rest
