"""Compares segkit with the reference's stored numbers: ``python tests/golden/check.py CASE.json [...]``.

For each case one line: its name, the largest difference relative to the reference's largest value (a loss: to its own
value), and ``ok`` or ``FAIL``; then the exit status 1 if any failed. The limit of 1e-4 is some 20 times what float32
costs the reference itself, which each case states. Arrays lie beside a case in a ``.npz`` of the same name.

A kind of case is a module in ``kinds/`` with ``matches(case) -> bool`` and
``compare_case(case, arrays) -> Iterable[Difference]``.
"""

import argparse
import importlib
import json
import pkgutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import kinds
import numpy as np
import torch
from differences import Difference

from segkit.errors import SegkitError

LIMIT = 1e-4


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="+", type=Path, metavar="CASE.json")
    parser.add_argument("--verbose", action="store_true", help="a line for each compared output")
    arguments = parser.parse_args(argv)
    failed = 0
    for path in arguments.cases:
        try:
            differences = list(check(path))
        except Exception as error:  # noqa: BLE001 - one case that cannot run must not keep the others from it
            failed += 1
            print(f"{path.stem:40s} {'-':>8s}  FAIL  {_one_line(error)}", flush=True)
            if arguments.verbose:
                traceback.print_exc()
            continue
        worst = max(differences, key=lambda d: d.relative)
        good = worst.relative <= LIMIT
        failed += not good
        told = "" if good else f"  {worst.name}"
        print(f"{path.stem:40s} {worst.relative:8.1e}  {'ok' if good else 'FAIL'}{told}", flush=True)
        if arguments.verbose:
            for difference in differences:
                print(f"    {difference.name:36s} {difference.relative:8.1e}")
    return 1 if failed else 0


def _one_line(error: Exception) -> str:
    told = " | ".join(str(error).splitlines())
    return told if isinstance(error, (SegkitError, CaseError)) else f"{type(error).__name__}: {told}"


class CaseError(Exception):
    """A case that cannot be read; its message is one line."""


def check(path: Path) -> Iterator[Difference]:
    """All comparisons of a case.

    Raises:
        CaseError: if a file is missing or torn, or no kind fits.
        SegkitError: if the model cannot be built or loaded.
    """
    case, arrays = _read(path)
    kind = next((kind for kind in _kinds() if kind.matches(case)), None)
    if kind is None:
        raise CaseError(f"no module in {Path(kinds.__file__).parent} knows this kind of case")
    with torch.no_grad():
        differences = list(kind.compare_case(case, arrays))
    if not differences:
        raise CaseError("nothing is stored to compare with")
    yield from differences


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        case = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaseError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise CaseError(f"{path} is no JSON: {error}") from None
    if not isinstance(case, dict):
        raise CaseError(f"{path} holds no case")
    stored = path.with_suffix(".npz")
    if not stored.exists():
        return case, {}
    try:
        with np.load(stored) as file:
            return case, dict(file)
    except (OSError, ValueError) as error:
        raise CaseError(f"cannot read {stored}: {error}") from None


def _kinds() -> Iterator[ModuleType]:
    for module in pkgutil.iter_modules(kinds.__path__):
        yield importlib.import_module(f"kinds.{module.name}")


if __name__ == "__main__":
    sys.exit(main())
