"""Looks through every image and label, and tells what would spoil a training, with the line that mends it."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segkit.cli.data_survey import add_dataset_arguments, composed, plural, survey

if TYPE_CHECKING:
    from segkit.data.scan import Finding
    from segkit.data.survey import Survey

_SHOWN = 5
_TOLD = ("unseen_classes", "all_ignored")
"""Kinds whose message names the cases."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_dataset_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--all", action="store_true", help=f"list every file, not the first {_SHOWN} of each kind")
    parser.epilog = "exit code: 2 if there are errors, else 0"


def run(args: argparse.Namespace) -> None:
    """Prints the report; exits with 2 if there are errors."""
    config = composed(args)
    surveys = survey(config, args.splits, args.workers)
    from segkit.data.survey import between_splits, plain, plain_finding

    skip = config.dataset.on_error == "skip"
    findings = {name: found.judge(skip_errors=skip) for name, found in surveys.items()}
    between = between_splits(list(surveys.values()))
    everything = [*between, *(f for found in findings.values() for f in found)]
    errors = sum(f.severity == "error" for f in everything)
    if args.json:
        report: dict[str, Any] = {"ok": not errors, "errors": errors, "warnings": len(everything) - errors}
        report["splits"] = {name: plain(found, findings[name]) for name, found in surveys.items()}
        report["between"] = [plain_finding(f) for f in between]
        print(json.dumps(report, indent=1))
    else:
        shown = None if args.all else _SHOWN
        for name, found in surveys.items():
            print(_headline(found))
            _print(findings[name], name, shown)
        _print(between, "", shown)
        print(f"{plural(errors, 'error')}, {plural(len(everything) - errors, 'warning')}")
    if errors:
        sys.exit(2)


def _headline(found: "Survey") -> str:
    total, read = found.found.total, found.found.read
    seen = int((found.images > 0).sum())
    sizes = plural(len(found.sizes), "size") if len(found.sizes) != 1 else "{} x {}".format(*next(iter(found.sizes)))
    return f"{found.split}: {read} of {total} samples read, {seen} of {len(found.images)} classes seen, {sizes}"


def _print(findings: "Sequence[Finding]", split: str, shown: int | None) -> None:
    for finding in findings:
        print(f"{finding.severity}: {f'{split}: ' if split else ''}{finding.message}")
        lists = finding.kind not in _TOLD if shown else finding.kind != "unseen_classes"
        if lists and (len(finding.where) > 1 or finding.where[:1] != (finding.message,)):
            cases = finding.where[:shown]
            print(*(f"    {case}" for case in cases), sep="\n")
            if len(finding.where) > len(cases):
                print(f"    and {len(finding.where) - len(cases)} more; --all lists them")
        if finding.remedy:
            print("  to paste into the dataset section:", *finding.remedy.splitlines(), sep="\n    ")
