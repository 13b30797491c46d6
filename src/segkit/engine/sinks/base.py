"""What every sink of a log's records does."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.config.segmentor import SegmentorConfig
from segkit.engine.progress import Progress
from segkit.engine.records import Record, scalars
from segkit.engine.run import RunFolder

Status = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Opening:
    """The run that a sink is about to follow.

    Attributes:
        config: all options.
        folder: of the run.
        position: where it goes on.
        kept: records of the log up to there.
        told: the last step of each kind of record that was logged, also of those about to be done again.
    """

    config: SegmentorConfig
    folder: RunFolder
    position: Progress
    kept: Sequence[Record]
    told: Mapping[str, int]

    @property
    def name(self) -> str:
        """What to call the run where it stands beside others."""
        name = self.config.trainer.name
        return f"{name}/{self.folder.path.name}" if name else self.folder.path.name


class Sink(ABC):
    """Takes the records of a run that may have been cut off before: none is missing in it, and none comes twice.

    Args:
        opening: the run.
        has: the last step of each kind of record that the sink holds from before.
    """

    def __init__(self, opening: Opening, has: Mapping[str, int]) -> None:
        self._has = dict(has)
        for record in opening.kept:
            self.record(record)

    def record(self, record: Record) -> None:
        """Takes a record, unless it has it."""
        if record["step"] > self._has.get(record["kind"], 0):
            self._write(record["kind"], record["step"], scalars(record))

    def image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """Takes a picture, (H, W, 3), of the evaluation after ``step``, unless it has it."""
        if step > self._has.get("val", 0):
            self._write_image(name, image, step)

    @abstractmethod
    def close(self, status: Status) -> None:
        """Ends the run there."""

    @property
    def place(self) -> str:
        """Where to look, in a line for the person who watches; empty if there is nothing to say."""
        return ""

    @abstractmethod
    def _write(self, kind: str, step: int, values: Mapping[str, float]) -> None: ...

    @abstractmethod
    def _write_image(self, name: str, image: NDArray[np.uint8], step: int) -> None: ...


def flat_config(tree: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a plain configuration by their dotted paths."""
    if isinstance(tree, Mapping) and tree:
        return {
            key: value
            for name, part in tree.items()
            for key, value in flat_config(part, f"{path}.{name}" if path else str(name)).items()
        }
    return {path: tree}
