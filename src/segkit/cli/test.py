"""``segkit-test``: figures of a checkpoint. Torch is imported when the arguments have been checked."""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.cli.arguments import (
    add_model_arguments,
    is_override,
    looks_several_times,
    on_devices,
    require_checkpoint,
    take_processes,
)
from segkit.cli.errors import user_errors
from segkit.config.overrides import changes
from segkit.config.spelling import hint
from segkit.data.target import check_target
from segkit.errors import CheckpointError, ConfigError, Problem, SegkitError
from segkit.files import write_file

if TYPE_CHECKING:
    from segkit.engine.evaluate import Evaluation, Request
    from segkit.inference.saved import SavedModel
    from segkit.metrics.images import Interval
    from segkit.metrics.scores import Scores

_FURTHER = ("boundary", "calibration")
_RANKED = 8


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    args = _parser().parse_intermixed_args(argv)
    with user_errors():
        paths = [args.checkpoint, *(text for text in args.overrides if not is_override(text))]
        for path in paths:
            require_checkpoint(path)
        processes, lines = take_processes([text for text in args.overrides if is_override(text)])
        further = _further(args.metrics)
        if len(paths) > 1 and (args.submission or args.output):
            option = "--submission" if args.submission else "--output"
            raise ConfigError([Problem(option, f"is of one checkpoint (got {len(paths)}); --report DIR takes several")])
        if args.submission:
            _require_submission(args, processes)
        change = on_devices(changes(lines), args.device, processes)
        from segkit.engine.evaluate import Request
        from segkit.inference.saved import SavedModel

        models = [SavedModel.read(path, change) for path in paths]
        _require_same_classes(models)
        tta = looks_several_times(args, lines)
        images = ("images",) if args.report or len(paths) > 1 else ()
        split = args.split or models[0].config.dataset.val_split
        ranked = _RANKED if args.report else 0
        request = Request(split, args.weights, tta, args.device, processes, (*further, *images), ranked)
        if args.submission:
            _submit(models[0], request, Path(args.submission))
            return
        found = [_test(saved, request, lines, args, number) for number, saved in enumerate(models, 1)]
        if len(models) > 1 and found[0] is not None:
            _compare(models, [one for one in found if one is not None], args.report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segkit-test",
        description="Evaluates trained models on a split of their data set, by the code of the training's own "
        "evaluation, and writes the figures as JSON. Further checkpoints are compared with the first.",
        epilog="KEY=VALUE changes the checkpoint's configuration: dataset.root=/data/camvid, trainer.devices=2 "
        "(processes that share the work; 1 unless given), inference=slide_512x1024, inference.tta.flip=true",
    )
    add_model_arguments(parser)
    parser.add_argument(
        "overrides", nargs="*", metavar="CHECKPOINT or KEY=VALUE", help="more checkpoints; changes of the configuration"
    )
    parser.add_argument("--split", help="split of the data set (default: dataset.val_split)")
    parser.add_argument(
        "--metrics",
        metavar="NAMES",
        default="",
        help="also boundary (IoU and F1 at the outlines), calibration (its error), or both, by commas",
    )
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="also write tables (CSV, LaTeX), the confusion matrix, scores of single images, the worst and the best",
    )
    parser.add_argument(
        "--submission",
        metavar="PATH",
        help="write the predictions in the benchmark's format to a new folder, .zip or .tar.gz, and compare nothing",
    )
    parser.add_argument("--output", "-o", metavar="FILE", help="default: beside the checkpoint, as best.val.json")
    return parser


def _require_submission(args: argparse.Namespace, processes: int) -> None:
    """Says at once what a submission cannot be.

    Raises:
        ConfigError: options that have no place beside it, or a path that it cannot be written to.
    """
    beside = [name for name in ("output", "report", "metrics") if getattr(args, name)]
    text = "has no place beside --submission, which compares nothing with labels"
    problems = [Problem(f"--{name}", text) for name in beside]
    if processes > 1:
        problems.append(Problem("trainer.devices", f"must be 1 for a submission (got {processes})"))
    if problems:
        raise ConfigError(problems)
    check_target(Path(args.submission))


def _further(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, text.split(",")))
    unknown = [name for name in names if name not in _FURTHER]
    if unknown:
        raise ConfigError(
            [Problem("--metrics", f"{n!r} is none of {', '.join(_FURTHER)}{hint(n, _FURTHER)}") for n in unknown]
        )
    return names


def _require_same_classes(models: "Sequence[SavedModel]") -> None:
    for saved in models[1:]:
        if saved.info.names != models[0].info.names:
            text = f"{saved.path}: its classes are not those of {models[0].path}; they cannot be compared"
            raise CheckpointError(text)


def _test(
    saved: "SavedModel", request: "Request", lines: Sequence[str], args: argparse.Namespace, number: int
) -> "Evaluation | None":
    """Evaluates checkpoint ``number``, prints and writes its figures; None on all but one of torchrun's processes."""
    from segkit.engine.evaluate import evaluate
    from segkit.engine.figures import write_figures

    began = time.perf_counter()
    with _progress("evaluating", start=request.processes == 1) as on_batch:
        found = evaluate(saved, request, on_batch=on_batch)
    if found is None:
        return None
    report = {"changes": list(lines), "time_s": round(time.perf_counter() - began, 3)}
    _tell(saved, request, found, Path(args.output) if args.output else None, report)
    if args.report:
        folder = Path(args.report) / f"{number}-{saved.path.stem}" if number > 1 else Path(args.report)
        names = [path.name for path in write_figures(folder, found, saved.info)]
        print(f"report:   {folder}: {', '.join(names)}")
    return found


def _compare(models: "Sequence[SavedModel]", found: "Sequence[Evaluation]", report: str | None) -> None:
    """Prints how far each checkpoint is from the first, and how sure that is."""
    from rich.console import Console
    from rich.table import Table

    from segkit.engine.figures import write_comparison
    from segkit.metrics.images import compare

    scores = [one.further.images for one in found]
    compared = [compare(scores[0], other) for other in scores[1:] if scores[0] is not None and other is not None]
    title = "mean IoU in percent, with 95 % intervals of a paired bootstrap over the images"
    names = _short([saved.path for saved in models])
    table = Table("checkpoint", "mIoU", "against the first", "better in", title=title, title_justify="left")
    table.columns[0].overflow = "fold"  # the ends tell them apart
    table.add_row(names[0], _interval(compared[0].first), "", "")
    for name, one in zip(names[1:], compared, strict=True):
        cells = (_interval(one.second), _interval(one.difference, sign="+"), f"{100 * one.share_better:.1f} %")
        table.add_row(name, *cells)
    Console().print(table)
    if report:
        path = Path(report) / "comparison.csv"
        write_comparison(path, [str(saved.path) for saved in models], compared)
        print(f"compared: {path}")


def _short(paths: Sequence[Path]) -> list[str]:
    """The paths without the folders that all of them are in."""
    above = os.path.commonpath([path.absolute().parent for path in paths])
    return [os.path.relpath(path.absolute(), above) for path in paths]


def _interval(interval: "Interval", sign: str = "") -> str:
    value, low, high = (100 * figure for figure in interval)
    return f"{value:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def _submit(saved: "SavedModel", request: "Request", path: Path) -> None:
    """Writes a submission under a progress bar."""
    from segkit.engine.submit import submit

    with _progress("predicting", start=True) as on_batch:
        written = submit(saved, request, path, on_batch=on_batch)
    print(f"{written.count} predictions of split {written.split} are in {path}")


@contextmanager
def _progress(title: str, *, start: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; hands out what to call before each batch with the number of batches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None, start=start)
        done = -1

        def on_batch(total: int) -> None:
            nonlocal done
            done += 1
            progress.update(task, total=total, completed=done)

        yield on_batch


def _tell(
    saved: "SavedModel", request: "Request", found: "Evaluation", output: Path | None, report: dict[str, Any]
) -> None:
    """Prints the figures and writes them."""
    from rich.console import Console

    from segkit.engine.report import class_table

    weights, scores = saved.choose(request.weights), found.scores
    looks = "several looks" if request.tta else "one look"
    title = (
        f"{request.split}, in percent: {'averaged' if weights == 'ema' else 'trained'} weights, {looks} at each image"
    )
    Console().print(class_table(scores, saved.info, title))
    print("  ".join(f"{name} {value:.4f}" for name, value in scores.overall.items()))
    output = output or saved.path.with_name(f"{saved.path.stem}.{request.split}.json")
    tree = {
        "checkpoint": str(saved.path),
        "split": request.split,
        "weights": weights,
        "tta": request.tta,
        "processes": request.processes,
        "image_s": round(found.image_s, 4),
        "memory_gb": round(found.memory_gb, 3),
        **report,
        "metrics": {name: _finite(value) for name, value in scores.overall.items()},
        "classes": {
            name: {figure: _finite(float(values[index])) for figure, values in scores.per_class.items()}
            | {"support": int(scores.support[index])}
            for index, name in enumerate(saved.info.names)
        },
    }
    try:
        write_file(output, json.dumps(tree, indent=2) + "\n")
    except OSError as error:
        raise SegkitError(f"{output}: cannot be written ({error.strerror})") from error
    print(f"cost:     {found.image_s:.3g} s an image, {found.memory_gb:.2f} GB of memory at most")
    print(f"weights:  {'their average (ema)' if weights == 'ema' else 'as trained'}, of {saved.path}")
    if not request.tta and not report["changes"] and request.split == saved.config.dataset.val_split:
        _recall(saved, weights, scores)
    print(f"figures:  {output}")


def _recall(saved: "SavedModel", weights: str, scores: "Scores") -> None:
    """Says whether the training saw the same, if these very weights were evaluated then."""
    progress = saved.payload.get("progress") or {}
    logged = (saved.payload.get("scores") or {}).get("ema/" if weights == "ema" else "")
    if logged is None or progress.get("evaluated_step") != progress.get("step"):
        return
    theirs, ours = logged["overall"]["miou"], scores.overall["miou"]
    known = {name: scores.overall[name] for name in logged["overall"]}  # there may be more of them now
    same = repr(logged["overall"]) == repr(known)  # as text: nan is not nan
    print(f"training: {'the same figures' if same else f'miou {theirs:.6f} in the log, {ours:.6f} here'}")


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


if __name__ == "__main__":
    main(sys.argv[1:])
