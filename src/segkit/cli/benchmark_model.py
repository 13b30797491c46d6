"""Parameters, GMACs, latency, throughput and memory of one model by input size: eager, compiled, exported, training."""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from segkit.cli.arguments import is_override, require_checkpoint
from segkit.config.spelling import hint
from segkit.errors import ConfigError, Problem

FORMS = ("eager", "compiled", "exported")
FURTHER_FORMS = ("predict", "train", "train-compiled")
_PLAIN = {"compiled": "eager", "exported": "eager", "train-compiled": "train"}
"""What a form is compared with."""
_DEFAULT_SIZE = "512x512"
_COLUMNS = ("form", "dtype", "median, ms", "p95, ms", "images/s", "peak memory, MB", "times faster")

Figures = dict[str, Any]


def run(arguments: Sequence[str] = ()) -> None:
    """Measures each form at each size in a process of its own, one after another, and prints a table a size.

    Args:
        arguments: of the command line.
    """
    args = _parser().parse_intermixed_args(arguments)
    for name, value in {"--batch": args.batch, "--seconds": args.seconds, "--timeout-s": args.timeout_s}.items():
        if not value > 0:
            raise ConfigError([Problem(name, f"must be positive (got {value:g})")])
    sizes, forms = _sizes(args.size), _forms(args.forms)
    title, config = _model(args.model)
    device = _device(args.device)
    console, found = Console(), []
    for size in sizes:
        job = {"config": config, "size": size, "batch": args.batch, "device": device, "seconds": args.seconds}
        cost = _measure({**job, "form": "complexity"}, args.timeout_s)
        figures = {form: _measure({**job, "form": form}, args.timeout_s) for form in forms}
        console.print(_table(title, size, args.batch, device, cost, figures))
        found.append({"size": size, "batch": args.batch, "device": device, "complexity": cost, "forms": figures})
        if args.json:  # after each, so that what was measured is kept
            args.json.parent.mkdir(parents=True, exist_ok=True)
            args.json.write_text(json.dumps({"model": title, "sizes": found}, indent=2) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segkit-benchmark model",
        description="Measures one model. " + str(__doc__),
        epilog="example: segkit-benchmark model +experiment=pspnet_r101_ade20k amp=bf16 --size 512x512 --batch 4",
    )
    parser.add_argument(
        "model", nargs="+", metavar="MODEL", help="KEY=VALUE as for segkit-train, after a CHECKPOINT or without one"
    )
    parser.add_argument(
        "--size", nargs="+", action="extend", metavar="HxW", help=f"of the images (default: {_DEFAULT_SIZE})"
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="images at a time (default: 1)")
    parser.add_argument(
        "--forms", default=",".join(FORMS), help=f"default: %(default)s; besides: {', '.join(FURTHER_FORMS)}"
    )
    parser.add_argument("--device", help="cpu, cuda, ...; default: the GPU if there is one")
    parser.add_argument("--seconds", type=float, default=3.0, help="to measure each for, at least (default: 3)")
    parser.add_argument("--timeout-s", type=float, default=900.0, metavar="SECONDS", help="of each (default: 900)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def _sizes(texts: Sequence[str] | None) -> list[tuple[int, int]]:
    found = [(text, re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)) for text in texts or (_DEFAULT_SIZE,)]
    wrong = [
        Problem("--size", f"must be HEIGHTxWIDTH, such as 512x1024 (got {t!r})") for t, match in found if not match
    ]
    if wrong:
        raise ConfigError(wrong)
    return [(int(match[1]), int(match[2])) for _, match in found if match]


def _forms(text: str) -> list[str]:
    chosen = text.split(",")
    known = (*FORMS, *FURTHER_FORMS)
    wrong = [Problem("--forms", f"no form is called {c!r}{hint(c, known)}") for c in chosen if c not in known]
    if wrong:
        raise ConfigError(wrong)
    return [form for form in known if form in chosen]


def _model(arguments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """What to call the model, and its configuration as plain data; weights are not loaded, as speed has none.

    Raises:
        SegkitError: there is no such checkpoint, or the configuration is wrong.
    """
    lines = [text for text in arguments if is_override(text)]
    files = [text for text in arguments if text not in lines]
    if len(files) > 1:
        raise ConfigError([Problem("", f"one checkpoint at a time, or KEY=VALUE (got {', '.join(files)})")])
    if files:
        require_checkpoint(files[0])
        from segkit.config.overrides import changes
        from segkit.inference.saved import SavedModel

        config = SavedModel.read(files[0], changes(lines)).config
    else:
        from segkit.config.compose import compose

        config = compose(lines, training=False)
    from segkit.config.component import to_plain

    plain = to_plain(config)
    plain["backbone"] |= {"pretrained": False, "weights": None}
    parts: Sequence[Any] = (config.head, config.backbone)
    title = " on ".join(part.type for part in parts)
    return f"{title}, {len(config.dataset.classes)} classes", plain


def _device(name: str | None) -> str:
    from segkit.inference.predictor import pick_device

    return str(pick_device(name))


def _measure(job: Mapping[str, Any], timeout_s: float) -> Figures:
    """Figures of one process, or ``error``."""
    command = [sys.executable, "-m", "segkit.cli.model_speed"]
    try:
        done = subprocess.run(
            command, input=json.dumps(job), capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"nothing after {timeout_s:g} s"}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        told = (done.stderr.strip().splitlines() or [""])[-1]
        return {"error": f"crash ({done.returncode}) {told}".strip()}
    figures: Figures = json.loads(lines[-1])
    return figures


def _table(
    title: str, size: tuple[int, int], batch: int, device: str, cost: Figures, figures: Mapping[str, Figures]
) -> Table:
    told = f"no complexity: {cost['error']}" if "error" in cost else _cost(cost)
    table = Table(*_COLUMNS, title=f"{title}; {batch} x {size[0]} x {size[1]} on {device}; {told}")
    for column in table.columns[2:]:
        column.justify = "right"
    for form, found in figures.items():
        if "error" in found:
            table.add_row(form, f"no: {found['error']}")
            continue
        base = figures.get(_PLAIN.get(form, form), {}).get("median_s")
        times = f"{base / found['median_s']:.2f}" if base and form in _PLAIN else "-"
        table.add_row(
            form, found["dtype"], f"{1000 * found['median_s']:.1f}", f"{1000 * found['p95_s']:.1f}",
            f"{found['images_per_s']:.2f}", f"{found['memory_bytes'] / 1e6:.0f}", times,
        )  # fmt: skip
    return table


def _cost(cost: Figures) -> str:
    return f"{cost['parameters'] / 1e6:.2f} M parameters, {cost['macs'] / 1e9:.2f} GMACs an image"
