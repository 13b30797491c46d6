"""Tables in the run folder, for spreadsheets: train.csv and val.csv."""

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.engine.records import last_steps, table
from segkit.engine.sinks.base import Opening, Sink, Status
from segkit.files import write_file


class CsvSink(Sink):
    """A line for each record, a column for each figure; written anew when a run goes on, as it may be torn."""

    def __init__(self, opening: Opening) -> None:
        self._folder = opening.folder
        self._headers: dict[str, list[str]] = {}
        for kind in ("train", "val"):
            self._folder.table(kind).unlink(missing_ok=True)
            kept = [record for record in opening.kept if record["kind"] == kind]
            if kept:
                self._write_table(kind, *table(kept))
        super().__init__(opening, last_steps(opening.kept))

    def close(self, status: Status) -> None:
        """Every line is out already."""

    def _write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        row = {"step": str(step)} | {name: f"{value:.7g}" for name, value in values.items()}
        header = self._headers.get(kind, [])
        new = [name for name in row if name not in header]
        file = self._folder.table(kind)
        if new:  # such as a class that had no IoU before
            rows = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))[1:] if header else []
            header = [*header, *new]
            self._write_table(kind, header, [[*cells, *[""] * len(new)] for cells in rows])
        with file.open("a", encoding="utf-8", newline="") as lines:
            lines.write(_line([row.get(name, "") for name in header]))

    def _write_table(self, kind: str, header: list[str], rows: list[list[str]]) -> None:
        self._headers[kind] = header
        write_file(self._folder.table(kind), "".join(_line(cells) for cells in (header, *rows)))

    def _write_image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """A table shows none."""


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
