"""Weights to hand out: one safetensors file that every command of segkit reads, and other programs too."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit.checkpoint import pack_published, read_checkpoint
from segkit.config.component import CONFIGS, to_plain
from segkit.inference.saved import Weights, choose_weights
from segkit.tensor_files import write_whole

_HASH = re.compile(r"-([0-9a-f]{8})\.safetensors$")
_DIGITS = 8


def publish(path: str | Path, folder: Path, *, weights: Weights = "auto", name: str = "") -> Path:
    """Writes the weights of a checkpoint, with its configuration, classes and metrics as metadata.

    Args:
        path: the checkpoint.
        folder: where to; the same checkpoint becomes the same file, to the last bit.
        weights: as trained, their average, or (auto) those that ``trainer.monitor`` judged; they become the only ones.
        name: of the file, without suffix; "" is that of the run.

    Returns:
        The file: its name ends in the first digits of the SHA-256 of what it holds.

    Raises:
        CheckpointError: the checkpoint cannot be read, has no such weights, or the file cannot be written.
    """
    payload = read_checkpoint(path)
    trainer = payload["config"].get("trainer") or {}
    chosen = choose_weights(payload, str(trainer.get("monitor")), weights, path)
    prefix = "ema/" if chosen == "ema" else ""
    own = {key.removeprefix(prefix): value for key, value in _metrics_of(payload, averaged=bool(prefix)).items()}
    scores = (payload.get("scores") or {}).get(prefix)
    published: dict[str, Any] = {
        "config": without_places(payload["config"]),
        "classes": payload["classes"],
        "palette": payload["palette"],
        "label_values": payload.get("label_values") or {},
        "metrics": own,
        "scores": {} if scores is None else {"": {k: v for k, v in scores.items() if k != "confusion"}},
        "progress": payload.get("progress"),
        "steps_per_epoch": payload.get("steps_per_epoch"),
        "source": {"toolkit": "segkit", "file": Path(path).name, "weights": chosen},
        "model": payload[chosen],
    }
    data = pack_published(published)
    stem = name or str(trainer.get("name") or Path(path).stem)
    digest = hashlib.sha256(data).hexdigest()[:_DIGITS]
    target = folder / f"{re.sub(r'[^A-Za-z0-9_.+-]+', '-', stem)}-{digest}.safetensors"
    write_whole(target, lambda temporary: temporary.write_bytes(data))
    return target


def fits_its_name(path: Path) -> bool | None:
    """Whether a published file holds what the hash in its name says; None if there is none."""
    found = _HASH.search(path.name)
    if found is None:
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(found[1])


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """A plain configuration less what belongs to the machine that trained: folders, files, services."""
    tree = {key: dict(value) if isinstance(value, Mapping) else value for key, value in config.items()}
    tree.pop("logger", None)
    data, trainer, backbone = tree.get("dataset"), tree.get("trainer"), tree.get("backbone")
    if isinstance(trainer, dict):
        trainer |= {"run_dir": None, "resume": "auto", "init_from": None}
    if isinstance(backbone, dict) and backbone.get("weights"):
        backbone |= {"weights": None, "pretrained": False}
    known = CONFIGS["dataset"].get(data.get("type", "")) if isinstance(data, dict) else None
    if known is not None and isinstance(data, dict):
        data["root"] = to_plain(known.__dataclass_fields__["root"].default)  # type: ignore[attr-defined]
    return tree


def _metrics_of(payload: Mapping[str, Any], *, averaged: bool) -> dict[str, Any]:
    metrics = payload.get("metrics") or {}
    return {key: value for key, value in metrics.items() if key.startswith("ema/") == averaged}
