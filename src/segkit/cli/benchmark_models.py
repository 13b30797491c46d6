"""What every head, neck and backbone can do: a table measured cell by cell, in processes that may crash or hang."""

import argparse
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from segkit.cli.model_table import COLUMNS, CONFIG_GROUPS, EMPTY, Cells, markdown, read_table
from segkit.config.component import CONFIGS, type_name
from segkit.config.docs import paper
from segkit.config.spelling import hint
from segkit.errors import ConfigError, Problem, SegkitError

CHECKS = ("parameters", "golden", "backward", "bf16", "batch1", "compile", "onnx")
"""What can be measured; ``parameters`` fills three columns."""
QUICK = ("parameters", "golden", "backward", "bf16", "batch1")
"""What takes seconds a model."""

_CHECKER = Path(__file__).parents[3] / "tests" / "golden" / "check.py"
_VERDICT = r"^(\S+)\s+(\S+)\s+(ok|FAIL)"


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        group: ``head``, ``neck`` or ``backbone``.
        name: the type.
    """

    group: str
    name: str

    @property
    def title(self) -> str:
        """What the first column says."""
        if self.group == "backbone":
            return self.name
        from segkit.cli.model_checks import Subject

        return Subject(*self).title

    @property
    def config(self) -> type:
        """The dataclass of its options."""
        return CONFIGS[CONFIG_GROUPS[self.group]][self.name]


def run(argv: Sequence[str] = ()) -> None:
    """Measures, prints, and writes the table.

    Args:
        argv: arguments after ``segkit-benchmark models``.
    """
    args = _parser().parse_args(argv)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception ends the measuring process, too
    try:
        _fill(args)
    finally:
        signal.signal(signal.SIGTERM, before)


def _fill(args: argparse.Namespace) -> None:
    rows, checks = _rows(args.names), _checks(args.checks)
    titles = {row: row.title for row in rows}
    known = read_table(args.output) if args.output else {}
    cases = golden_cases(args.golden) if args.golden and "golden" in checks else {}
    console = Console()
    found: dict[Row, Cells] = {}
    for number, row in enumerate(rows, 1):
        if console.is_terminal:
            console.print(f"{number}/{len(rows)} {row.group} {row.name}", style="dim")
        cells = measure(row, [name for name in checks if name != "golden"], args.timeout_s)
        if "golden" in checks and args.golden:
            cells["golden"] = golden_difference(cases.get(row, ()), args.timeout_s)
        found[row] = {"paper": paper(row.config), **cells}
        if args.output:  # after each, so that what was measured is kept, whatever comes
            key = (row.group, titles[row])
            known[key] = known.get(key, {}) | found[row]
            _write(args.output, markdown(known))
    console.print(_table({titles[row]: cells for row, cells in found.items()}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="segkit-benchmark models", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="heads, necks and backbones; default: all")
    parser.add_argument(
        "--checks", default=",".join(QUICK), help=f"of {','.join(CHECKS)} (default: %(default)s), or all"
    )
    default = _CHECKER.with_name("data")
    parser.add_argument(
        "--golden",
        type=Path,
        metavar="DIR",
        default=default if default.is_dir() else None,
        help="folder of golden cases",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="Markdown, such as docs/models.md; other cells stay"
    )
    parser.add_argument("--timeout-s", type=float, default=300.0, metavar="SECONDS", help="of one cell (default: 300)")
    return parser


def _rows(names: Sequence[str]) -> list[Row]:
    from segkit.registry import BACKBONES, HEADS, NECKS

    registries = {"head": HEADS, "neck": NECKS, "backbone": BACKBONES}
    every = [Row(group, name) for group, registry in registries.items() for name in registry.names()]
    known = {row.name for row in every}
    unknown = [
        Problem("", f"no head, neck or backbone is called {n!r}{hint(n, known)}") for n in names if n not in known
    ]
    if unknown:
        raise ConfigError(unknown)
    return [row for row in every if not names or row.name in names]


def _checks(text: str) -> list[str]:
    chosen = CHECKS if text == "all" else tuple(text.split(","))
    unknown = [Problem("--checks", f"no check is called {c!r}{hint(c, CHECKS)}") for c in chosen if c not in CHECKS]
    if unknown:
        raise ConfigError(unknown)
    return [check for check in CHECKS if check in chosen]


def measure(row: Row, checks: Sequence[str], timeout_s: float) -> Cells:
    """The cells of some checks; after a crash or a hang, the rest goes on in another process.

    Args:
        row: the model.
        checks: names.
        timeout_s: of each check, the start of the process included.
    """
    cells: Cells = {}
    left = list(checks)
    while left:
        for name, more in _checked(row, tuple(left), timeout_s):
            cells |= more
            left.remove(name)
    return cells


def _checked(row: Row, checks: Sequence[str], timeout_s: float) -> Iterator[tuple[str, Cells]]:
    """(check, cells) of one process; ends early, with that check's cell, when it crashes or hangs."""
    command = [sys.executable, "-m", "segkit.cli.model_checks", *row, *checks]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True
    )
    lines: queue.Queue[str | None] = queue.Queue()
    pump = threading.Thread(target=_pump, args=(process, lines), daemon=True)
    pump.start()
    try:
        for name in checks:
            report = _next_report(lines, timeout_s)
            if isinstance(report, dict) and report.get("check") == name:
                yield name, report["cells"]
                continue
            code = "" if report == "hang" else process.wait(timeout=60)
            yield name, {name: f"no: nothing after {timeout_s:g} s" if report == "hang" else f"no: crash ({code})"}
            return
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the workers of its compiler, too
        pump.join()
        process.communicate()


def _pump(process: subprocess.Popen[str], lines: "queue.Queue[str | None]") -> None:
    for line in process.stdout or ():
        lines.put(line)
    lines.put(None)


def _next_report(lines: "queue.Queue[str | None]", timeout_s: float) -> dict[str, Any] | str:
    """The next check's report; ``end`` of the process or ``hang`` where none comes."""
    while True:
        try:
            line = lines.get(timeout=timeout_s)
        except queue.Empty:
            return "hang"
        if line is None:
            return "end"
        if line.startswith('{"check"'):  # libraries print, too
            report: dict[str, Any] = json.loads(line)
            return report


def golden_cases(folder: Path) -> dict[Row, list[Path]]:
    """The cases of each model: whole models are their head's and their neck's, the others their backbone's.

    Raises:
        ConfigError: if there is no such folder, or this is no checkout, which has the checker.
    """
    if not folder.is_dir():
        raise ConfigError([Problem("--golden", f"no folder {folder}")])
    if not _CHECKER.is_file():
        raise ConfigError([Problem("--golden", f"needs a checkout of segkit, which has {_CHECKER.name}")])
    found: dict[Row, list[Path]] = {}
    for path in sorted(folder.glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        facts = case.get("facts") if isinstance(case, dict) else None
        for row in _subjects(facts) if isinstance(facts, dict) else ():
            found.setdefault(row, []).append(path)
    return found


def _subjects(facts: dict[str, Any]) -> list[Row]:
    """The models that a case is about; none of one that segkit does not have."""
    from segkit.models.interop.sssegmentation import config_from_facts
    from segkit.models.interop.sssegmentation.backbones import backbone_config

    try:
        if "segmentor" in facts:
            head = config_from_facts(facts).head
            neck = [Row("neck", type_name(type(head.neck)))] if head.neck is not None else []
            return [Row("head", type_name(type(head))), *neck]
        return [Row("backbone", type_name(type(backbone_config(facts))))] if "backbone" in facts else []
    except ConfigError:
        return []


def golden_difference(cases: Sequence[Path], timeout_s: float) -> str:
    """The worst difference of some cases, and how many there are; the cases that fail, if any do."""
    if not cases:
        return "no case"
    command = [sys.executable, str(_CHECKER), *map(str, cases)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s * len(cases), check=False)
        output: bytes | None = done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout
    return judged((output or b"").decode(errors="replace"), [path.stem for path in cases])


def judged(output: str, cases: Sequence[str]) -> str:
    """The cell of what the checker printed of some cases; one of which it says nothing has failed."""
    told = {name: (found, verdict) for name, found, verdict in re.findall(_VERDICT, output, re.MULTILINE)}
    failed = [name for name in cases if told.get(name, ("", ""))[1] != "ok"]
    if failed:
        return f"no: {', '.join(failed)}"
    worst = max(float(told[name][0]) for name in cases)
    return f"{worst:.0g} ({len(cases)} case{'s' * (len(cases) > 1)})"


def _table(found: Mapping[str, Cells]) -> Table:
    shown = [column for column in COLUMNS if any(column in cells for cells in found.values())]
    table = Table("model", *(COLUMNS[column] for column in shown), title="models")
    for title, cells in found.items():
        table.add_row(title, *(cells.get(column, EMPTY) for column in shown))
    return table


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SegkitError(f"{path}: cannot be written ({error.strerror})") from error
