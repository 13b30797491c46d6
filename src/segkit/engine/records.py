"""The records of a run's log: JSON lines, one for each told step and each evaluation. Imports no torch."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.engine.progress import Progress
from segkit.files import write_file

Record = Mapping[str, Any]


def read_log(file: Path) -> list[dict[str, Any]]:
    """The records of a log; a line that a killed process left unfinished is left out."""
    records = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def cut_log(file: Path, position: Progress) -> list[dict[str, Any]]:
    """Takes out what was logged after ``position``, as it is about to be done again; returns what stays."""
    if not file.exists():
        return []
    done = [
        record
        for record in read_log(file)
        if record["step"] <= (position.step if record["kind"] == "train" else position.evaluated_step)
    ]
    write_file(file, "".join(json.dumps(record) + "\n" for record in done))
    return done


def last_steps(records: Iterable[Record]) -> dict[str, int]:
    """The last step of each kind of record."""
    last: dict[str, int] = {}
    for record in records:
        last[record["kind"]] = max(record["step"], last.get(record["kind"], 0))
    return last


def scalars(record: Record) -> dict[str, float]:
    """The figures of a record under one name each, as ``train/loss``, ``train/terms/main.loss``, ``val/ema/miou``.

    Those of the classes are called ``val_iou/<class>``. What is not a finite number is left out.
    """
    kind = record["kind"]
    found: dict[str, Any] = {}
    for key, value in record.items():
        if key == "terms":
            found |= {f"{kind}/terms/{name}": term for name, term in value.items()} if len(value) > 1 else {}
        elif isinstance(value, Mapping):  # "iou", "ema/iou"
            prefix = key.removesuffix("iou")
            found |= {f"{kind}_iou/{prefix}{name}": iou for name, iou in value.items()}
        elif key not in ("kind", "step", "time"):
            found[f"{kind}/{key}"] = value
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }


def finite(value: float | None) -> float | None:
    """The value if JSON knows it."""
    return value if value is not None and math.isfinite(value) else None


def table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of records of one kind, for CSV; a figure that a record lacks is empty."""
    flat = [{"step": str(record["step"])} | {k: f"{v:.7g}" for k, v in scalars(record).items()} for record in records]
    header = list(dict.fromkeys(name for row in flat for name in row))
    return header, [[row.get(name, "") for name in header] for row in flat]
