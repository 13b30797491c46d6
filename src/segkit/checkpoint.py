"""The checkpoint file: tensors and plain data only, whole or absent."""

import os
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segkit.errors import CheckpointError

FORMAT = "segkit"
"""The word under ``format`` that tells our files from others'."""
VERSION = 1
"""Raised whenever an older segkit could misread a new file."""
_PLAIN = (bool, int, float, str, bytes)  # exactly: numpy's floats are floats too, but would be pickled as numpy's
_PARTS = {"config": dict, "classes": list, "palette": list, "model": dict}
_SHOWN = 3


def write_checkpoint(path: Path, payload: Mapping[str, Any]) -> None:
    """Writes a checkpoint so that ``path`` holds the old file or the whole new one, whenever the machine stops.

    Args:
        path: where to; its folder is made if needed.
        payload: ``config`` (plain data), ``classes``, ``palette``, ``model`` (a state_dict), and as far as there are
            any ``ema``, ``optimizer``, ``schedule``, ``scaler``, ``rng``, ``progress`` (epoch, step) and ``metrics``.
            ``format`` and ``version`` are added.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written.
        TypeError: the payload holds something else than tensors and plain data.
    """
    _require_plain(payload, "payload")
    temporary = path.with_name(f"{path.name}.tmp")  # one name: what a killed run leaves is overwritten by the next
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, "version": VERSION, **payload}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch words a full disk as a RuntimeError
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f"{path}: cannot be written: {_first_line(error)}") from error


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint of :func:`write_checkpoint` onto the CPU; nothing in it is executed.

    Raises:
        CheckpointError: the file is missing, torn, another program's, or of a newer segkit.
    """
    path = Path(path)
    payload = _read_archive(path)
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a segkit checkpoint; {_describe(payload)}")
    version = payload.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise CheckpointError(f"{path}: written by a newer segkit (format {version}, this one reads up to {VERSION})")
    missing = [key for key, kind in _PARTS.items() if not isinstance(payload.get(key), kind)]
    if missing:
        raise CheckpointError(f"{path}: incomplete checkpoint, without {', '.join(missing)}")
    return payload


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], path: str | Path) -> None:
    """Loads every weight.

    Raises:
        CheckpointError: if one is missing, too many, or of another shape; nothing is loaded then.
    """
    own = model.state_dict()
    wrong = [
        f"{name} is {shape_text(weights[name])} there and {shape_text(own[name])} here"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    wrong += [f"{name} is missing" for name in own if name not in weights]
    wrong += [f"{name} is unknown here" for name in weights if name not in own]
    if wrong:
        raise CheckpointError(f"{path}: weights of another model: {some_of(wrong)}")
    model.load_state_dict(weights)


def shape_text(value: Tensor) -> str:
    """A tensor's shape for messages, as in 64x3x7x7."""
    return "x".join(map(str, value.shape)) or "a scalar"


def some_of(lines: Sequence[str]) -> str:
    """The first lines, and how many more there are."""
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "; ".join(lines[:_SHOWN]) + more


def _read_archive(path: Path) -> Any:
    if not path.is_file():
        kind = "a folder, not a checkpoint file" if path.is_dir() else "no such checkpoint"
        raise CheckpointError(f"{path}: {kind}")
    try:
        if not zipfile.is_zipfile(path):  # the directory stands at the end, so that a cut file lacks it
            size = path.stat().st_size
            raise CheckpointError(f"{path}: torn, or not a checkpoint ({size} bytes without a complete archive)")
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: not read, because it holds more than tensors and plain data; not a segkit checkpoint"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: damaged: {_first_line(error)}") from error


def _require_plain(value: Any, where: str) -> None:
    """Fails while the fault is near, not when the file is read again."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _require_plain(key, f"a key of {where}")
            _require_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _require_plain(item, f"{where}[{index}]")
    elif value is not None and type(value) not in _PLAIN and not isinstance(value, Tensor):
        raise TypeError(f"{where} is a {type(value).__name__}; checkpoints hold tensors and plain data")


def _describe(payload: Any) -> str:
    if not isinstance(payload, Mapping):
        return f"it holds a {type(payload).__name__}"
    keys = [str(key) for key in payload]
    return f"it holds {', '.join(keys[:4])}{', ...' if len(keys) > 4 else ''}" if keys else "it is empty"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _sync_folder(folder: Path) -> None:
    """Makes the renaming itself last through a power cut."""
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
