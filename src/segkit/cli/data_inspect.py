"""Figures of a data set, suggested class weights and statistics; a page of samples before and after augmentation."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from segkit.cli.data_survey import add_dataset_arguments, composed, survey
from segkit.config.checks import named_losses
from segkit.config.component import type_name
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import DatasetError, some_of

if TYPE_CHECKING:
    from segkit.data.scan import Finding
    from segkit.data.survey import Survey


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_dataset_arguments(parser)
    parser.add_argument("--page", type=Path, metavar="FILE", help="where to write the page; default: data-TYPE.html")
    parser.add_argument("--samples", type=int, default=8, metavar="N", help="samples on the page (default 8)")
    parser.add_argument("--augmentations", type=int, default=4, metavar="N", help="of each sample (default 4)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> None:
    """Prints the figures and writes the page."""
    config = composed(args)
    page = args.page or Path(f"data-{type_name(type(config.dataset))}.html")
    if not page.parent.is_dir():
        raise DatasetError(f"--page: no folder {page.parent}")
    surveys = list(survey(config, args.splits, args.workers).values())
    from segkit.data.survey import between_splits

    skip = config.dataset.on_error == "skip"
    findings = {found.split: found.judge(skip_errors=skip) for found in surveys}
    findings["both splits"] = between_splits(surveys)
    lines = _lines(config, surveys[0])
    if args.json:
        from segkit.data.survey import class_weights, plain

        figures: dict[str, Any] = {"splits": {s.split: plain(s, findings[s.split]) for s in surveys}}
        figures["class_weights"] = class_weights(surveys[0].found.counts)
        print(json.dumps(figures, indent=1))
    else:
        _print(surveys, lines)
        for split, found in findings.items():
            print(*(f"{f.severity}: {split}: {f.message}" for f in found), sep="\n", end="\n" if found else "")
    _write(page, config, surveys, findings, lines, args)
    Console(stderr=args.json).print(f"page: {page}", soft_wrap=True)


def _lines(config: SegmentorConfig, train: "Survey") -> dict[str, str]:
    """What can be pasted: for what -> the line."""
    from segkit.data.survey import class_weights

    lines = {}
    counts = train.found.counts
    if counts.sum() and len(train.found.dataset.info.names) > 1:
        weights = ", ".join(f"{weight:g}" for weight in class_weights(counts))
        what = "class weights, 1 / sqrt(share), their mean 1"
        weighted = [n for n, loss in named_losses(config.loss).items() if hasattr(loss, "class_weights")]
        path, opening, closing = "loss", "loss: { ", " }"
        if isinstance(config.loss, dict) and weighted:
            path, opening, closing = f"loss.{weighted[0]}", f"loss: {{ {weighted[0]}: {{ ", " } }"
        lines[what] = f"'{path}.class_weights=[{weights}]'"
        lines[f"{what}, as YAML"] = f"{opening}class_weights: [{weights}]{closing}"
    if train.sizes:
        mean, std = (", ".join(f"{v:.2f}" for v in values) for values in (train.mean, train.std))
        lines["statistics of these images (pretrained weights want those of their own training)"] = (
            f"normalize: {{ type: Normalize, mean: [{mean}], std: [{std}] }}"
        )
    return lines


def _print(surveys: "Sequence[Survey]", lines: dict[str, str]) -> None:
    from segkit.data.survey import class_rows

    table = Table("class", title="Classes", title_justify="left")
    for found in surveys:
        table.add_column(f"{found.split}: pixels", justify="right")
        table.add_column("images", justify="right")
    for index, name in enumerate(class_rows(surveys[0].found.dataset)):
        cells = []
        for found in surveys:
            counts = found.found.counts
            cells += [f"{100 * counts[index] / max(counts.sum(), 1):.3f} %", str(found.images[index])]
        table.add_row(name, *cells)
    Console().print(table)
    for found in surveys:
        sizes = some_of([f"{h} x {w} ({n})" for (h, w), n in found.sizes.most_common()], 4)
        print(f"{found.split}: {found.found.total} samples, height x width: {sizes}; {', '.join(found.dtypes)}")
    for what, line in lines.items():
        print(f"{what}:\n  {line}")


def _write(
    page: Path,
    config: SegmentorConfig,
    surveys: "Sequence[Survey]",
    findings: "dict[str, list[Finding]]",
    lines: dict[str, str],
    args: argparse.Namespace,
) -> None:
    from segkit.build import build_pipeline
    from segkit.data.loader import Source
    from segkit.engine.data_page import draw_rows, render

    source = Source(surveys[0].found.dataset, build_pipeline(config, "train"), seed=config.trainer.seed)
    rows = draw_rows(source, surveys[0].pick(args.samples), args.augmentations)
    told = [(split, finding) for split, found in findings.items() for finding in found]
    place = f"{config.dataset.root}" if config.dataset.source else "generated images"
    pasted = [f"# {what}\n{line}" for what, line in lines.items()]
    html = render(type_name(type(config.dataset)), surveys, rows, findings=told, place=place, lines=pasted)
    page.write_text(html, encoding="utf-8")
