"""What a training goes on from, and what is worth knowing when it does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit import dist
from segkit.config.changes import changed_options
from segkit.config.component import to_plain
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.run import RunFolder

_SHOWN = 8
_HARMLESS = (
    *("trainer.run_dir", "trainer.resume", "trainer.name", "trainer.devices", "trainer.keep_checkpoints", "logger."),
    *("trainer.max_restarts", "trainer.max_hours", "trainer.grace_s", "trainer.timeout_s"),
    *("dataset.cache.", "dataloader.num_workers", "dataloader.prefetch_factor", "dataloader.pin_memory"),
)
"""Options that cannot change the result; the number of processes is told apart."""


def resume_source(config: SegmentorConfig, folder: RunFolder) -> Path | None:
    """The checkpoint to go on from, None for a fresh start.

    A run's own last checkpoint comes before a file that was given: a job that is queued again has done more since.
    """
    if folder.last.exists():
        return folder.last
    return config.trainer.resume if isinstance(config.trainer.resume, Path) else None


def notes_on(payload: Mapping[str, Any], config: SegmentorConfig) -> list[str]:
    """What is otherwise than when the checkpoint was written."""
    notes = []
    before = payload.get("world_size", dist.world_size())  # older files lack it
    if before != dist.world_size():
        text = f"{before} processes before, {dist.world_size()} now: batches and augmentation stay the same"
        notes.append(f"{text}, sums are rounded and dropout is drawn otherwise")
    changed = [line for line in changed_options(payload["config"], to_plain(config)) if not line.startswith(_HARMLESS)]
    if changed:
        notes.append(f"options changed since: {'; '.join(changed[:_SHOWN])}")
    return notes
