"""All that a training carries from step to step, to and from a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from segkit import dist
from segkit.checkpoint import load_weights
from segkit.config.component import to_plain
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.ema import Ema
from segkit.engine.meters import Meter
from segkit.engine.progress import Progress
from segkit.errors import CheckpointError, ConfigError, Problem
from segkit.metrics.scores import Scores
from segkit.types import ClassInfo


@dataclass(frozen=True)
class TrainState:
    """The live objects whose states make a checkpoint.

    Attributes:
        config: of this run.
        info: names and colours of the classes.
        model: the bare segmentor.
        ema: its average, None if it is not kept.
        optimizer: over the model's parameters.
        scaler: of the loss.
        meter: of the log.
        steps_per_epoch: optimiser steps of one pass.
    """

    config: SegmentorConfig
    info: ClassInfo
    model: nn.Module
    ema: Ema | None
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    meter: Meter
    steps_per_epoch: int

    def to_payload(self, progress: Progress, scores: Mapping[str, Scores]) -> dict[str, Any]:
        """Tensors and plain data, for :func:`segkit.checkpoint.write_checkpoint`.

        Args:
            progress: where the training is.
            scores: of the last evaluation, by the prefix of their metrics ("" and "ema/").
        """
        return {
            "config": to_plain(self.config),
            "classes": list(self.info.names),
            "palette": [list(color) for color in self.info.palette],
            "label_values": dict(self.info.inverse),
            "metrics": flat_metrics(scores),
            "scores": {prefix: _compact(score) for prefix, score in scores.items()},
            "progress": progress.to_plain(),
            "steps_per_epoch": self.steps_per_epoch,
            "world_size": dist.world_size(),
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict() if self.ema else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "log": self.meter.to_plain(),
        }

    def load(self, payload: Mapping[str, Any], path: Path) -> Progress:
        """Takes over the state that ``path`` held, but for its scores.

        Raises:
            CheckpointError: if it is of another model or optimiser, or holds weights alone.
            ConfigError: if an epoch has another number of steps now.
        """
        missing = [key for key in ("optimizer", "progress", "scores", "log") if payload.get(key) is None]
        if missing:
            raise CheckpointError(
                f"{path}: no training can go on from it, as it lacks {', '.join(missing)}; use trainer.init_from"
            )
        if payload["steps_per_epoch"] != self.steps_per_epoch:
            text = f"{path} was made with {payload['steps_per_epoch']} steps an epoch, now there are"
            hint = "keep dataloader.total_batch_size and the data, or start anew with trainer.init_from"
            raise ConfigError([Problem("trainer.resume", f"{text} {self.steps_per_epoch}; {hint}")])
        load_weights(self.model, payload["model"], path)
        if self.ema:
            load_weights(self.ema.model, payload.get("ema") or payload["model"], path)
        _load_optimizer(self.optimizer, payload["optimizer"], path)
        if payload.get("scaler") and self.scaler.is_enabled():
            self.scaler.load_state_dict(payload["scaler"])
        self.meter.load(payload["log"])
        return Progress.from_plain(payload["progress"])


def _compact(scores: Scores) -> dict[str, Any]:
    """Plain data but for the confusion matrix: as lists, checking that of 150 classes takes a while."""
    tree = scores.to_plain()
    return tree | ({} if scores.confusion is None else {"confusion": torch.from_numpy(scores.confusion)})


def flat_metrics(scores: Mapping[str, Scores]) -> dict[str, float]:
    """Every overall figure under one name: ``miou``, ``ema/miou``, ..."""
    return {f"{prefix}{name}": value for prefix, score in scores.items() for name, value in score.overall.items()}


def read_scores(payload: Mapping[str, Any]) -> dict[str, Scores]:
    """The scores that a checkpoint holds."""
    return {prefix: Scores.from_plain(tree) for prefix, tree in payload["scores"].items()}


def _load_optimizer(optimizer: Optimizer, state: Mapping[str, Any], path: Path) -> None:
    """Loads momenta and the like; decays stay those of the configuration, and the schedule sets the rates."""
    names = [group.get("param_names") for group in optimizer.param_groups]
    theirs = [group.get("param_names") for group in state["param_groups"]]
    if names != theirs:
        raise CheckpointError(
            f"{path}: its optimiser has other parameter groups; keep scheduler.optimizer.params_rules, or start anew "
            "with trainer.init_from"
        )
    kept = [{k: v for k, v in group.items() if k not in ("params", "lr")} for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(dict(state))
    except (ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path}: its optimiser is another: {error}") from error
    for group, options in zip(optimizer.param_groups, kept, strict=True):
        group.update(options)
