"""What a folder of predictions holds: the options that made it, and a line for each file that is done."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from segkit.data.inputs import Job, free_name
from segkit.errors import SegkitError, some_of
from segkit.files import write_file

_LINES = "predictions"
_SETTINGS = "predictions.settings.json"
_SHOWN = 3


@dataclass(frozen=True)
class Record:
    """One file that is done.

    Attributes:
        source: its absolute path.
        stamp: its modification time in nanoseconds, and its size in bytes.
        target: the name of its results, without suffix.
        kind: image, video or raster.
        size: (height, width).
        files: kind of result -> path below the output folder.
        shares: share of the pixels that each class takes, the largest first.
        seconds: from pixels to classes; reading and writing not counted.
        memory_gb: the most that was held so far, of the GPU if there is one in use, else of the process.
        frames: of a video; 1 else.
    """

    source: str
    stamp: tuple[int, int]
    target: str
    kind: str
    size: tuple[int, int]
    files: Mapping[str, str]
    shares: Mapping[str, float]
    seconds: float
    memory_gb: float
    frames: int = 1

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The record of one JSON line."""
        tree = json.loads(line)
        return cls(**{**tree, "stamp": tuple(tree["stamp"]), "size": tuple(tree["size"])})


def stamp_of(path: Path) -> tuple[int, int]:
    """What changes when a file does."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@dataclass
class Ledger:
    """The records of an output folder, by the names of their results."""

    output: Path
    records: dict[str, Record] = field(default_factory=dict)

    @classmethod
    def open(cls, output: Path, settings: Mapping[str, Any], *, overwrite: bool) -> Self:
        """What the folder holds already; it is made if need be, and its settings are noted.

        Args:
            output: the folder.
            settings: what the results depend on.
            overwrite: forget what the folder holds.

        Raises:
            SegkitError: it holds results of other settings, or cannot be written.
        """
        ledger = cls(output)
        note = output / _SETTINGS
        try:
            output.mkdir(parents=True, exist_ok=True)
            before = json.loads(note.read_text(encoding="utf-8")) if note.exists() else None
            if overwrite:
                for path in ledger._parts():
                    path.unlink()
            elif before is not None:
                _refuse_others(output, before, json.loads(json.dumps(settings)))
            ledger.join()
            write_file(note, json.dumps(settings, indent=2) + "\n")
        except OSError as error:
            raise SegkitError(f"{output}: cannot be written ({error.strerror})") from error
        return ledger

    def plan(self, jobs: Iterable[Job], kinds: Mapping[Path, Sequence[str]]) -> tuple[list[Job], int]:
        """The jobs that are still to be done, under names that no other file's results have, and how many are done.

        Args:
            jobs: all that is wanted.
            kinds: the kinds of results that each source is to have.
        """
        owners = {record.source: record for record in self.records.values()}
        taken = {Path(record.target) for record in self.records.values()}
        todo, done = [], 0
        for job in jobs:
            source = str(job.source.resolve())
            record = owners.get(source)
            if record is not None and self._holds(record, job.source, kinds[job.source]):
                done += 1
                continue
            target = free_name(job.target, taken) if record is None else Path(record.target)
            taken.add(target)
            todo.append(Job(job.source, target))
        return todo, done

    def _holds(self, record: Record, source: Path, kinds: Sequence[str]) -> bool:
        files = [record.files.get(kind) for kind in kinds]
        whole = all(file is not None and (self.output / file).exists() for file in files)
        return whole and record.stamp == stamp_of(source)

    def append(self, record: Record, rank: int) -> None:
        """Adds a line to this process's file; a torn one is passed over by the next reader."""
        with (self.output / f"{_LINES}.{rank}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")

    def join(self) -> None:
        """Joins the files of all processes to ``predictions.jsonl``."""
        parts = self._parts()
        joined = self.output / f"{_LINES}.jsonl"
        found = {record.target: record for path in parts for record in _lines(path)}
        self.records = {target: found[target] for target in sorted(found)}
        write_file(joined, "".join(json.dumps(asdict(record)) + "\n" for record in self.records.values()))
        for path in parts:
            if path != joined:
                path.unlink()

    def _parts(self) -> list[Path]:
        """The joined file first: what processes noted since is newer."""
        own = [self.output / f"{_LINES}.jsonl", *sorted(self.output.glob(f"{_LINES}.*.jsonl"))]
        return [path for path in own if path.exists()]


def _lines(path: Path) -> list[Record]:
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(Record.from_line(line))
        except (ValueError, TypeError, KeyError):  # cut off while it was written
            continue
    return records


def _refuse_others(output: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    if not changed:
        return
    shown = [f"{key} was {_short(before.get(key))}, is {_short(now.get(key))}" for key in changed]
    text = f"{output}: holds results of other options ({some_of(shown, _SHOWN, between='; ')})"
    raise SegkitError(f"{text}; use another --output, or --overwrite to do them again")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
