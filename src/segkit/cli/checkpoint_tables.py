"""What ``segkit-checkpoint`` tells of checkpoints."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from segkit.export.compare import Comparison
from segkit.export.publish import fits_its_name
from segkit.tensor_files import to_metadata


def print_facts(path: Path, payload: Mapping[str, Any]) -> None:
    """A table of what a checkpoint holds."""
    table = Table("part", "what it holds", title=escape(str(path)))
    for name, words in _describe(payload).items():
        table.add_row(name, escape(words))
    table.add_row("file", f"{path.stat().st_size / 1e6:.1f} MB{_hash_words(path)}")
    Console().print(table)


def as_json(payload: Mapping[str, Any]) -> str:
    """Everything as JSON; of a tensor, its shape and type."""
    return to_metadata(_without_values(payload))


def print_comparison(found: Comparison, *, most: int | None) -> None:
    """Where two checkpoints differ; of the tensors, the ``most`` that do so most."""
    console = Console(soft_wrap=True, highlight=False)
    for title, lines in (("configuration", found.options), ("facts", found.facts)):
        if lines:
            console.print(f"{title}:")
            for line in lines:
                console.print(f"  {line}", markup=False)
    total = len(found.tensors) + found.same
    if not found.tensors:
        console.print(f"all {total} tensors are the same")
        return
    table = Table("tensor", title=f"{len(found.tensors)} of {total} tensors differ", title_justify="left")
    for column in ("max |difference|", "max |value|", "values that differ"):
        table.add_column(column, justify="right")
    for row in found.tensors[:most]:
        figures = (row.text, "", "") if row.text else (f"{row.most:.3g}", f"{row.scale:.3g}", f"{row.share:.1%}")
        table.add_row(escape(row.name), *figures)
    Console().print(table)
    if most is not None and len(found.tensors) > most:
        console.print(f"and {len(found.tensors) - most} more; --all shows them")


def model_name(config: Mapping[str, Any]) -> str:
    """Head, backbone and auxiliary heads of a plain configuration."""
    auxiliary = config.get("auxiliary") or {}
    extra = f", auxiliary {', '.join(auxiliary)}" if auxiliary else ""
    return f"{_type(config.get('head'))} on {_type(config.get('backbone'))}{extra}"


def _describe(payload: Mapping[str, Any]) -> dict[str, str]:
    config, classes = payload["config"], payload["classes"]
    progress, source = payload.get("progress"), payload.get("source")
    lines = {
        "name": str((config.get("trainer") or {}).get("name") or "(none)"),
        "model": model_name(config),
        "data": f"{_type(config.get('dataset'))}, {len(classes)} classes: {', '.join(classes)}",
        "weights": _size(payload["model"].values()) + f" ({_parts(payload['model'])})",
        "average (ema)": _size(payload["ema"].values()) if payload.get("ema") else "no",
        "to go on from": f"yes, optimiser {_size(_tensors(payload['optimizer']))}"
        if payload.get("optimizer")
        else "no, weights alone; use trainer.init_from",
    }
    if progress:
        steps = payload.get("steps_per_epoch") or 0
        epochs = f", {progress['step'] // steps} epochs of {steps} steps" if steps else ""
        lines["progress"] = f"step {progress['step']}{epochs}"
    if source:
        made = "made from" if source.get("toolkit") == "segkit" else "converted from"
        lines[made] = f"{source.get('toolkit')}, {source.get('weights')} of {source.get('file')}"
    if metrics := payload.get("metrics"):
        lines["metrics"] = ", ".join(f"{k} {'-' if v is None else format(v, '.4f')}" for k, v in metrics.items())
    return lines


def _size(tensors: Iterable[Tensor]) -> str:
    held = list(tensors)
    count, size = sum(value.numel() for value in held), sum(value.numel() * value.element_size() for value in held)
    return f"{count / 1e6:.2f} M values in {len(held)} tensors, {size / 1e6:.1f} MB"


def _parts(weights: Mapping[str, Tensor]) -> str:
    counts: dict[str, int] = {}
    for name, value in weights.items():
        part = name.partition(".")[0]
        counts[part] = counts.get(part, 0) + value.numel()
    return ", ".join(f"{part} {count / 1e6:.2f} M" for part, count in counts.items())


def _tensors(tree: Any) -> Iterable[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (Mapping, list, tuple)):
        for value in tree.values() if isinstance(tree, Mapping) else tree:
            yield from _tensors(value)


def _without_values(tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return {"shape": list(tree.shape), "dtype": str(tree.dtype).removeprefix("torch.")}
    if isinstance(tree, Mapping):
        return {str(key): _without_values(value) for key, value in tree.items()}
    return [_without_values(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def _hash_words(path: Path) -> str:
    fits = fits_its_name(path)
    if fits is None:
        return ""
    return ", as the hash in its name says" if fits else "; NOT what the hash in its name says: damaged or changed"


def _type(part: Any) -> str:
    return str(part.get("type", "?")) if isinstance(part, Mapping) else "?"
