"""The files that a command line means. Imports nothing heavy: mistakes are told before torch is loaded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".npy")
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
RASTER_SUFFIXES = (".tif", ".tiff", ".zarr")
"""Of what can be read by windows; a Zarr array is a folder."""
SUFFIXES = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, ".zarr")
"""Of what is taken from a folder."""


@dataclass(frozen=True)
class Job:
    """One input: the file, and the name of its results below the output folders, without suffix."""

    source: Path
    target: Path


def find_jobs(inputs: Sequence[str], output: Path) -> tuple[list[Job], list[str]]:
    """The files that ``inputs`` name, each once, and what is wrong with the rest.

    Files keep their path below a folder that was given, and get a number where two would share a name.

    Args:
        inputs: files, folders (with all below them) and patterns.
        output: folder of the results, which are no inputs.
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
                jobs[source.resolve()] = Job(source, free_name(target, taken))
                taken.add(jobs[source.resolve()].target)
    return list(jobs.values()), problems


def free_name(target: Path, taken: set[Path]) -> Path:
    """``target``, or where that is taken, the first free of target_2, target_3, ..."""
    name, number = target.name, 1
    while target in taken:
        number += 1
        target = target.with_name(f"{name}_{number}")
    return target


def _files(text: str, output: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs of a file and the name of its results."""
    path = Path(text).expanduser()
    if path.is_dir() and path.suffix.lower() != ".zarr":
        own = output.resolve()
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in SUFFIXES and _is_input(file) and own not in file.resolve().parents:
                yield file, file.relative_to(path).with_suffix("")
    elif path.exists():
        yield path, Path(path.stem)
    else:
        for file in sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))):
            if _is_input(file):
                yield file, Path(file.stem)


def _is_input(path: Path) -> bool:
    return path.is_file() or path.suffix.lower() == ".zarr"


def _why_none(text: str) -> str:
    if Path(text).is_dir():
        return f"{text}: the folder holds no image or video ({', '.join(SUFFIXES)})"
    return f"{text}: no file matches" if set("*?[") & set(text) else f"{text}: no such file or folder"
