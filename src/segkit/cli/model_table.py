"""The table of models: docs/models.md, made by ``segkit-benchmark models`` and read by ``segkit-config show``."""

import re
from collections.abc import Mapping
from pathlib import Path

import segkit

COLUMNS: Mapping[str, str] = {
    "paper": "paper",
    "parameters": "parameters, M",
    "gmacs": "GMACs",
    "stride": "output stride",
    "golden": "golden difference",
    "backward": "backward",
    "bf16": "bf16",
    "batch1": "batch of 1",
    "compile": "torch.compile",
    "onnx": "ONNX",
}
"""Column -> its title."""
CONFIG_GROUPS: Mapping[str, str] = {"head": "head", "neck": "head/neck", "backbone": "backbone"}
"""Group of the table -> that of the configs."""

Cells = dict[str, str]
"""Column -> what it says."""

EMPTY = "-"
_INTRODUCTION = """\
# Models

Made by `segkit-benchmark models`; a cell `-` was not measured, and a line is replaced when its model is measured again.
A head's parameters, GMACs (multiplications and additions of convolutions and matrix products) and output strides are
those of the model with 150 classes at 512 x 512, on the backbone in brackets (ResNet-50 at stride 8 unless its
publication has another), a neck's those of a model with the head in brackets; a backbone's are its own, with the stride
of each of its features. The checks that follow run a small model. *Golden difference*: the largest relative difference
from SSSegmentation's outputs and losses over all stored cases of the model, of which some necks have none. *Backward*:
a training step gives every parameter a finite gradient. *bf16*: the same under autocast, and predictions within 10 %.
*Batch of 1*: trains on one image; where a pyramid pools to one cell, BatchNorm cannot, and GroupNorm can.
*torch.compile*: the same predictions within 0.1 %, and a training step with finite gradients, compiled by PyTorch's
`aot_eager`, which captures the graphs and their gradients and runs them without generated code; where the cell says so,
by `inductor`, which generates it. *ONNX*: the same predictions within 0.1 % at four sizes that were not traced, two of
them odd.

`segkit-config show NAME` tells a model's line, too.
"""


def shipped_table() -> Path:
    """Where the table is: inside the installed package, or among the docs of a checkout."""
    package = Path(segkit.__file__).parent
    inside = package / "models.md"
    return inside if inside.is_file() else package.parents[1] / "docs" / "models.md"


def measured(group: str, name: str) -> dict[str, Cells]:
    """Title -> cells of a model's lines in the table that is shipped.

    Args:
        group: of the configs, such as ``head/neck``.
        name: the type.
    """
    table = read_table(shipped_table())
    return {
        title: cells
        for (kind, title), cells in table.items()
        if CONFIG_GROUPS[kind] == group and title.partition(" ")[0] == name
    }


def read_table(path: Path) -> dict[tuple[str, str], Cells]:
    """(group, title) -> cells, of a file that :func:`markdown` made; nothing of any other."""
    if not path.is_file():
        return {}
    found: dict[tuple[str, str], Cells] = {}
    group, columns = "", []
    by_title = {title: column for column, title in COLUMNS.items()}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            group = line[3:].strip().lower().removesuffix("s")
        if not line.startswith("| ") or line.startswith("| ---"):
            continue
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if cells[0] == group:
            columns = [by_title.get(cell, cell) for cell in cells[1:]]
        else:
            values = dict(zip(columns, cells[1:], strict=False))
            found[group, cells[0]] = {c: v for c, v in values.items() if c in COLUMNS and v != EMPTY}
    return found


def markdown(known: Mapping[tuple[str, str], Cells]) -> str:
    """The file: an explanation, and a table of each group."""
    parts = [_INTRODUCTION]
    for group in CONFIG_GROUPS:
        lines = [f"## {group.capitalize()}s", "", f"| {' | '.join([group, *COLUMNS.values()])} |"]
        lines.append("| --- " * (len(COLUMNS) + 1) + "|")
        for (kind, title), cells in sorted(known.items()):
            if kind == group:
                values = [title, *(cells.get(column, EMPTY).replace("|", r"\|") for column in COLUMNS)]
                lines.append(f"| {' | '.join(values)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
