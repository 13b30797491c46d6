"""TensorBoard's event files in the run folder."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from segkit.engine.records import last_steps
from segkit.engine.sinks.base import Opening, Sink, Status


class TensorBoardSink(Sink):
    """Writes event files; each record is out at once, so that a killed run leaves no gap."""

    def __init__(self, opening: Opening) -> None:
        position, path = opening.position, opening.folder.tensorboard
        # An evaluation that is about to be done again has the step of the last record of the training: both go.
        purged = position.step + (position.evaluated_step == position.step)
        held = [record for record in opening.kept if record["step"] < purged] if any(path.glob("events.*")) else []
        self._board = SummaryWriter(str(path), purge_step=purged)
        super().__init__(opening, last_steps(held))

    def close(self, status: Status) -> None:
        self._board.close()

    def _write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()

    def _write_image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        self._board.add_image(name, image, step, dataformats="HWC")
        self._board.flush()
