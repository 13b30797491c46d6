"""The checkpoint file: tensors and plain data only, whole or absent."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segkit.errors import CheckpointError, some_of
from segkit.tensor_files import (
    is_safetensors,
    pack_safetensors,
    read_metadata,
    read_tensor_file,
    to_metadata,
    write_whole,
)

FORMAT = "segkit"
"""The word under ``format`` that tells our files from others', and the key of our words in a safetensors file."""
VERSION = 1
"""Raised whenever an older segkit could misread a new file."""
_PLAIN = (bool, int, float, str, bytes)  # exactly: numpy's floats are floats too, but would be pickled as numpy's
_PARTS = {"config": dict, "classes": list, "palette": list, "model": dict}
_OPTIONAL = dict.fromkeys(("ema", "metrics", "scores", "progress", "label_values", "source", "optimizer", "log"), dict)


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

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, "version": VERSION, **payload}, file)

    write_whole(path, save)


def pack_published(payload: Mapping[str, Any]) -> bytes:
    """A checkpoint of weights alone as the bytes of a safetensors file, the rest as its metadata.

    :func:`read_checkpoint` reads it; other programs read its weights. The same payload gives the same bytes.

    Args:
        payload: ``model``, and plain data.
    """
    rest = {key: value for key, value in payload.items() if key != "model"}
    words = to_metadata({"format": FORMAT, "version": VERSION, **rest})
    return pack_safetensors(payload["model"], {FORMAT: words})  # one key: the order of several changes


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a file of :func:`write_checkpoint` or :func:`pack_published` onto the CPU; nothing in it is executed.

    Raises:
        CheckpointError: the file is missing, torn, another program's, or of a newer segkit.
    """
    path = Path(path)
    payload = read_tensor_file(path)
    if is_safetensors(path):
        payload = _with_metadata(payload, path)
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a segkit checkpoint; {_describe(payload)}")
    version = payload.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise CheckpointError(f"{path}: written by a newer segkit (format {version}, this one reads up to {VERSION})")
    missing = [key for key, kind in _PARTS.items() if not isinstance(payload.get(key), kind)]
    if missing:
        raise CheckpointError(f"{path}: incomplete checkpoint, without {', '.join(missing)}")
    if wrong := _malformed(payload):
        raise CheckpointError(f"{path}: damaged, or made by hand: {wrong}")
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
        raise CheckpointError(f"{path}: weights of another model: {some_of(wrong, 3, between='; ')}")
    model.load_state_dict(weights)


def shape_text(value: Tensor) -> str:
    """A tensor's shape for messages, as in 64x3x7x7."""
    return "x".join(map(str, value.shape)) or "a scalar"


def _with_metadata(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """The checkpoint that a safetensors file holds."""
    words = read_metadata(path)
    if FORMAT not in words:
        text = "weights without a configuration, as segkit-checkpoint publish would have written it"
        raise CheckpointError(f"{path}: not a segkit checkpoint; {text}; backbone.weights can read them")
    try:
        tree = dict(json.loads(words[FORMAT]))
        values = {int(key): int(value) for key, value in tree.get("label_values", {}).items()}  # JSON has no other keys
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: damaged: its metadata cannot be read ({error})") from error
    return tree | {"label_values": values, "model": dict(tensors)}


def _malformed(payload: Mapping[str, Any]) -> str:
    """What is not as segkit writes it; "" if nothing is."""
    for key, kind in _OPTIONAL.items():
        if payload.get(key) is not None and not isinstance(payload[key], kind):
            return f"{key} is a {type(payload[key]).__name__}"
    for key in ("model", "ema"):
        if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in (payload.get(key) or {}).items()):
            return f"{key} holds something else than tensors by name"
    classes, palette = payload["classes"], payload["palette"]
    if not classes or not all(isinstance(name, str) for name in classes):
        return "classes are no names"
    colors = [color for color in palette if isinstance(color, (list, tuple)) and len(color) == 3]
    if len(colors) != len(classes) or not all(type(v) is int and 0 <= v <= 255 for color in colors for v in color):
        return f"palette is not {len(classes)} RGB colours"
    try:
        json.dumps(payload["config"])
    except (TypeError, ValueError, RecursionError):
        return "config is no plain data"
    return ""


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
