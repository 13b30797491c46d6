"""``segkit-test``: figures of a checkpoint. Torch is imported when the arguments have been checked."""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.cli.arguments import add_model_arguments, require_checkpoint, take_processes
from segkit.cli.errors import user_errors
from segkit.config.overrides import Tree, changes
from segkit.errors import SegkitError

if TYPE_CHECKING:
    from segkit.engine.evaluate import Request
    from segkit.inference.saved import SavedModel
    from segkit.metrics.scores import Scores


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    args = _parser().parse_intermixed_args(argv)
    with user_errors():
        require_checkpoint(args.checkpoint)
        processes, lines = take_processes(args.overrides)
        change = changes(lines)
        from segkit.engine.evaluate import Request
        from segkit.inference.saved import SavedModel

        def change_tree(tree: Tree) -> None:
            change(tree)
            if args.device and processes > 1:  # each process takes a device of this kind
                tree["trainer"]["accelerator"] = args.device.split(":")[0]

        saved = SavedModel.read(args.checkpoint, change_tree)
        tta = args.tta or any(line.lstrip("+").startswith("inference.tta") for line in lines)
        request = Request(args.split or saved.config.dataset.val_split, args.weights, tta, args.device, processes)
        if args.submission:
            _submit(saved, request, Path(args.submission))
            return
        began = time.perf_counter()
        scores = _evaluate(saved, request)
        if scores is not None:
            report = {"changes": lines, "time_s": round(time.perf_counter() - began, 3)}
            _tell(saved, request, scores, Path(args.output) if args.output else None, report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segkit-test",
        description="Evaluates a trained model on a split of its data set, by the code of the training's own "
        "evaluation, and writes the figures as JSON.",
        epilog="KEY=VALUE changes the checkpoint's configuration: dataset.root=/data/camvid, trainer.devices=2 "
        "(processes that share the work; 1 unless given), inference=slide_512x1024, inference.tta.flip=true",
    )
    add_model_arguments(parser)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes of the configuration")
    parser.add_argument("--split", help="split of the data set (default: dataset.val_split)")
    parser.add_argument(
        "--submission",
        metavar="PATH",
        help="write the predictions in the benchmark's format to a new folder, .zip or .tar.gz, and compare nothing",
    )
    parser.add_argument("--output", "-o", metavar="FILE", help="default: beside the checkpoint, as best.val.json")
    return parser


def _evaluate(saved: "SavedModel", request: "Request") -> "Scores | None":
    """Evaluates under a progress bar."""
    from segkit.engine.evaluate import evaluate

    with _progress("evaluating", start=request.processes == 1) as on_batch:
        return evaluate(saved, request, on_batch=on_batch)


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
    saved: "SavedModel", request: "Request", scores: "Scores", output: Path | None, report: dict[str, Any]
) -> None:
    """Prints the figures and writes them."""
    from rich.console import Console

    from segkit.engine.report import class_table
    from segkit.engine.run import write_text

    weights = saved.choose(request.weights)
    looks = "several looks" if request.tta else "one look"
    title = f"{request.split}, in percent: {'averaged ' if weights == 'ema' else ''}weights, {looks} at each image"
    Console().print(class_table(scores, saved.info, title))
    print("  ".join(f"{name} {value:.4f}" for name, value in scores.overall.items()))
    output = output or saved.path.with_name(f"{saved.path.stem}.{request.split}.json")
    tree = {
        "checkpoint": str(saved.path),
        "split": request.split,
        "weights": weights,
        "tta": request.tta,
        "processes": request.processes,
        **report,
        "metrics": {name: _finite(value) for name, value in scores.overall.items()},
        "classes": {
            name: {figure: _finite(float(values[index])) for figure, values in scores.per_class.items()}
            | {"support": int(scores.support[index])}
            for index, name in enumerate(saved.info.names)
        },
    }
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, json.dumps(tree, indent=2) + "\n")
    except OSError as error:
        raise SegkitError(f"{output}: cannot be written ({error.strerror})") from error
    print(f"weights:  {'their average (ema)' if weights == 'ema' else 'as trained'}, of {saved.path}")
    if not request.tta and not report["changes"] and request.split == saved.config.dataset.val_split:
        _compare(saved, weights, scores)
    print(f"figures:  {output}")


def _compare(saved: "SavedModel", weights: str, scores: "Scores") -> None:
    """Says whether the training saw the same, if these very weights were evaluated then."""
    progress = saved.payload.get("progress") or {}
    logged = (saved.payload.get("scores") or {}).get("ema/" if weights == "ema" else "")
    if logged is None or progress.get("evaluated_step") != progress.get("step"):
        return
    theirs, ours = logged["overall"]["miou"], scores.overall["miou"]
    same = repr(logged["overall"]) == repr(dict(scores.overall))  # as text: nan is not nan
    print(f"training: {'the same figures' if same else f'miou {theirs:.6f} in the log, {ours:.6f} here'}")


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


if __name__ == "__main__":
    main(sys.argv[1:])
