"""Weights & Biases."""

import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from numpy.typing import NDArray

from segkit.config.component import to_plain
from segkit.config.loggers import WandbConfig
from segkit.engine.sinks.base import Opening, Sink, Status
from segkit.engine.sinks.identity import read_identity, write_identity
from segkit.errors import TrainingError

_KINDS = ("train", "val")
_EXIT_CODES: Mapping[Status, int] = {"finished": 0, "stopped": 143, "failed": 1}


class WandbSink(Sink):
    """Sends records to one run of W&B, over all parts of a run that is cut off and resumed.

    Each kind of record has its own steps as x-axis: W&B's counter never goes back, which would lose an evaluation
    that is done again.

    Raises:
        TrainingError: W&B does not let us in.
    """

    def __init__(self, opening: Opening) -> None:
        config = opening.config.logger.wandb
        place = f"{config.entity or ''}/{config.project}"
        known = read_identity(opening.folder, "wandb", place)
        self._run = self._open(opening, config, known or secrets.token_hex(4))
        write_identity(opening.folder, "wandb", place, self._run.id)
        for kind in _KINDS:
            self._run.define_metric(f"{kind}/step")
            self._run.define_metric(f"{kind}/*", step_metric=f"{kind}/step")
        self._run.define_metric("val_iou/*", step_metric="val/step")
        before = self._earlier_parts(opening)
        super().__init__(opening, self._held(opening, before) if known else {})
        if self._offline and not _any_sent(before):
            for part in before:
                shutil.rmtree(part)

    @staticmethod
    def _open(opening: Opening, config: WandbConfig, identity: str) -> Any:
        folder = opening.folder.path / "wandb"
        new = not folder.exists()
        try:
            return wandb.init(
                project=config.project,
                entity=config.entity,
                name=config.name or opening.name,
                group=config.group,
                tags=list(config.tags),
                mode=config.mode,
                dir=str(opening.folder.path),
                id=identity,
                resume="allow",
                config=to_plain(opening.config),
                allow_val_change=True,  # of an option that does not change the result, on resume
                settings=wandb.Settings(silent=True, console="off"),  # the console is ours
            )
        except wandb.Error as error:
            if new:
                shutil.rmtree(folder, ignore_errors=True)
            reason = str(error).splitlines()[0]
            hint = "run `wandb login`, or set logger.wandb.mode=offline or logger.wandb.enabled=false"
            raise TrainingError(f"logger.wandb: {reason}; {hint}") from error

    @property
    def _offline(self) -> bool:
        return bool(self._run.settings.mode == "offline")

    def _earlier_parts(self, opening: Opening) -> list[Path]:
        """Folders of what was written offline before this process."""
        parts = (opening.folder.path / "wandb").glob(f"offline-run-*-{self._run.id}")
        return [part for part in parts if part != Path(self._run.settings.sync_dir)]

    def _held(self, opening: Opening, before: Sequence[Path]) -> Mapping[str, int]:
        """What W&B has: online it says so itself; what lies here unsent may be torn, so this part tells it all."""
        if self._offline:
            return opening.told if _any_sent(before) else {}
        return {kind: int(self._run.summary.get(f"{kind}/step") or 0) for kind in _KINDS}

    @property
    def place(self) -> str:
        if self._offline:
            return f"wandb: offline; send it with: wandb sync {self._run.settings.sync_dir}"
        return f"wandb: {self._run.url}"

    def close(self, status: Status) -> None:
        self._run.finish(exit_code=_EXIT_CODES[status])

    def _write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        self._run.log({f"{kind}/step": step, **values})

    def _write_image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        self._run.log({"val/step": step, name: wandb.Image(image)})


def _any_sent(parts: Sequence[Path]) -> bool:
    """Whether ``wandb sync`` was there."""
    return any(next(part.glob("*.synced"), None) is not None for part in parts)
