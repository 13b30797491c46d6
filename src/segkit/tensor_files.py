"""Files of tensors, by torch or by safetensors: read without executing anything, written whole or not at all."""

import json
import math
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from segkit.errors import CheckpointError

_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_HEAD = 8
"""Bytes that say how long a safetensors file's header is."""


def read_tensor_file(path: Path) -> Any:
    """What ``torch.save`` or safetensors wrote, on the CPU; the one place of segkit that reads such files.

    Returns:
        Tensors and plain data; of a safetensors file, its tensors by name.

    Raises:
        CheckpointError: there is no such file, it is torn, or it holds more than tensors and plain data.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: {'a folder, not a checkpoint file' if path.is_dir() else 'no such checkpoint'}")
    try:
        if is_safetensors(path):
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # torch's of a rare protocol, which it reads or refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: torn, or no safetensors file ({_first_line(error)})") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or _first_line(error)})") from error
    except Exception as error:  # bytes of any kind make the unpickler fail in any way
        raise CheckpointError(f"{path}: {_why(path, error)}") from error


def is_safetensors(path: Path) -> bool:
    """Whether it is, or by its name ought to be, a file of safetensors."""
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        head = file.read(_HEAD + 1)
    return head[_HEAD:] == b"{" and int.from_bytes(head[:_HEAD], "little") < path.stat().st_size


def read_metadata(path: Path) -> dict[str, str]:
    """The words beside the tensors of a safetensors file that :func:`read_tensor_file` has read."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def pack_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Tensors by name, and words beside them, as the bytes of a file."""
    own = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}  # none may share memory
    return save(own, dict(metadata))


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets ``write`` make a file so that ``path`` holds the old one or the whole new one, whenever the machine stops.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f"{path.name}.tmp")  # one name: what a killed run leaves is overwritten by the next
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        _sync(temporary, os.O_RDWR)
        temporary.replace(path)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            _sync(path.parent, os.O_RDONLY)  # makes the renaming itself last through a power cut
    except (OSError, RuntimeError) as error:  # torch words a full disk as a RuntimeError
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f"{path}: cannot be written: {_first_line(error)}") from error


def to_metadata(tree: Any) -> str:
    """Plain data as JSON; what is not a number, which JSON lacks, becomes null."""
    return json.dumps(_finite(tree), ensure_ascii=False, allow_nan=False)


def _finite(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {str(key): _finite(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _why(path: Path, error: Exception) -> str:
    """What is wrong with a file that torch does not read, in one line."""
    size = path.stat().st_size
    if found := _GLOBAL.search(str(error)):
        return f"not read, because it holds more than tensors and plain data ({found[1]}), which could run code"
    if not zipfile.is_zipfile(path):  # the directory stands at the end, so that a cut file lacks it
        return f"torn, or not a checkpoint ({size} bytes without a complete archive)"
    return f"damaged: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
