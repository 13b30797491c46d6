"""``segkit-predict``: masks and overlays of images. Torch is imported when the arguments have been checked."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from segkit.cli.arguments import add_model_arguments, changes, is_override, require_checkpoint
from segkit.cli.errors import user_errors
from segkit.errors import DatasetError, SegkitError

if TYPE_CHECKING:
    from segkit.inference.predictor import Predictor

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".npy")
"""Files that are taken from a folder."""


@dataclass(frozen=True)
class Job:
    """One image: the file, and the name of its results below the output folders, without suffix."""

    source: Path
    target: Path


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    args = _parser().parse_intermixed_args(argv)
    inputs = [text for text in args.inputs if not is_override(text)]
    lines = [text for text in args.inputs if is_override(text)]
    with user_errors():
        if not 0 <= args.opacity <= 1:
            raise SegkitError(f"--opacity must be from 0 to 1 (got {args.opacity:g})")
        require_checkpoint(args.checkpoint)
        jobs, problems = find_jobs(inputs, Path(args.output))
        if not jobs:
            raise SegkitError("\n".join(problems) or "no image to segment")
        from segkit.inference.predictor import Predictor
        from segkit.inference.saved import SavedModel

        saved = SavedModel.read(args.checkpoint, changes(lines) if lines else None)
        tta = args.tta or any(line.lstrip("+").startswith("inference.tta") for line in lines)
        predictor = Predictor(saved, device=args.device, weights=args.weights, tta=tta)
        segment(predictor, jobs, Path(args.output), opacity=args.opacity if args.overlays else None, problems=problems)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segkit-predict",
        description="Segments images with a trained model: OUTPUT/masks holds PNGs of class ids with the classes' "
        "colours as palette, OUTPUT/overlays the images under these colours.",
        epilog="KEY=VALUE changes the checkpoint's configuration: inference.mode=slide inference.crop_size=[512,512] "
        "inference.stride=[341,341], inference.tta.flip=true, dataloader.val_batch_size=8, amp.enabled=true",
    )
    add_model_arguments(parser)
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="image, folder, pattern such as 'day/*.jpg', or KEY=VALUE"
    )
    parser.add_argument("--output", "-o", default="predictions", help="folder of the results (default: predictions)")
    parser.add_argument("--opacity", type=float, default=0.5, help="of the colours in overlays, 0 to 1 (default: 0.5)")
    parser.add_argument("--no-overlays", dest="overlays", action="store_false", help="write masks only")
    return parser


def find_jobs(inputs: Sequence[str], output: Path) -> tuple[list[Job], list[str]]:
    """The images that ``inputs`` name, each once, and what is wrong with the rest.

    Files keep their path below a folder that was given, and get a number where two would share a name.
    """
    jobs: dict[Path, Job] = {}
    taken: set[Path] = set()
    problems = []
    for text in inputs:
        found = list(_files(text, output))
        if not found:
            problems.append(_why_none(text))
        for source, target in found:
            if source.resolve() not in jobs:
                jobs[source.resolve()] = Job(source, _free(target, taken))
    return list(jobs.values()), problems


def _files(text: str, output: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs of an image and the name of its results."""
    path = Path(text).expanduser()
    if path.is_dir():
        own = output.resolve()  # results of an earlier call are no images to segment
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in SUFFIXES and file.is_file() and own not in file.resolve().parents:
                yield file, file.relative_to(path).with_suffix("")
    elif path.exists():
        yield path, Path(path.stem)
    else:
        for file in sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))):
            if file.is_file():
                yield file, Path(file.stem)


def _why_none(text: str) -> str:
    if Path(text).is_dir():
        return f"{text}: the folder holds no image ({', '.join(SUFFIXES)})"
    return f"{text}: no file matches" if set("*?[") & set(text) else f"{text}: no such file or folder"


def _free(target: Path, taken: set[Path]) -> Path:
    """``target``, or where that is taken, the first free of target_2, target_3, ..."""
    name, number = target.name, 1
    while target in taken:
        number += 1
        target = target.with_name(f"{name}_{number}")
    taken.add(target)
    return target


def segment(
    predictor: "Predictor", jobs: Sequence[Job], output: Path, *, opacity: float | None, problems: Sequence[str] = ()
) -> None:
    """Segments images and writes the results; bad ones are told and left out.

    Args:
        predictor: the model.
        jobs: the images.
        output: folder of the results.
        opacity: of the colours in overlays; None writes no overlays.
        problems: inputs that are bad already.

    Raises:
        SegkitError: at the end, if some inputs were bad; at once, if results cannot be written.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bad, began, waiting = 0, time.perf_counter(), iter(jobs)
    for problem in problems:
        console.print(f"error: {problem}", markup=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("segmenting", total=len(jobs))
        while chunk := list(islice(waiting, predictor.batch_size)):
            for problem in _segment_chunk(predictor, chunk, output, opacity):
                console.print(f"error: {problem}", markup=False)
                bad += 1
            progress.advance(task, len(chunk))
    folders = "masks" if opacity is None else "masks and overlays"
    done = len(jobs) - bad
    print(f"{done} image{'s' * (done != 1)} in {time.perf_counter() - began:.1f} s: {folders} are in {output}")
    bad += len(problems)
    if bad:
        raise SegkitError(f"{bad} input{'s' * (bad != 1)} could not be segmented")


def _segment_chunk(predictor: "Predictor", jobs: Sequence[Job], output: Path, opacity: float | None) -> list[str]:
    """Segments images together; returns what is wrong with those that cannot be read."""
    samples, targets, problems = [], [], []
    for job in jobs:
        try:
            samples.append(predictor.read(job.source))
            targets.append(job.target)
        except DatasetError as error:
            problems.append(str(error))
    for target, prediction in zip(targets, predictor.predict(samples), strict=True):
        try:
            prediction.save_mask(_ready(output / "masks" / f"{target}.png"))
            if opacity is not None:
                prediction.save_overlay(_ready(output / "overlays" / f"{target}.jpg"), opacity)
        except OSError as error:
            raise SegkitError(f"{output}: cannot be written ({error})") from error
    return problems


def _ready(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    main(sys.argv[1:])
