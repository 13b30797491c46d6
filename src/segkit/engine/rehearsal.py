"""Trainings that leave nothing behind: does all of it work, and can the model learn one batch by heart?"""

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import islice

import torch

from segkit import dist
from segkit.config.training import TrainerConfig
from segkit.engine.meters import peak_memory_gb
from segkit.engine.run import RunResult, write_result
from segkit.engine.seeds import seed_step
from segkit.engine.trainer import Trainer
from segkit.errors import TrainingError
from segkit.types import IGNORE_INDEX, Batch

_STEPS = 200
_LOOK_EVERY = 20
_LEARNT = 0.99
_FAILED = 0.9


def rehearses(config: TrainerConfig) -> bool:
    """Whether to try things out in place of the training."""
    return config.dry_run or config.debug is not None


def rehearse(trainer: Trainer) -> RunResult:
    """Does what ``trainer.dry_run`` or ``trainer.debug`` asks for, in place of the training.

    Raises:
        TrainingError: the model cannot learn one batch, or its loss is not finite.
        SegkitError: as in a training.
    """
    trainer.introduce()
    trainer.model.train()
    figures = dry_run(trainer) if trainer.config.trainer.dry_run else overfit_batch(trainer)
    result = RunResult(trainer.folder.path, figures, {}, trainer.folder.last, step=0, epoch=0, time_s=0.0)
    if trainer.is_main:
        write_result(trainer.folder, result, {})  # for the process that started this one
    return result


def dry_run(trainer: Trainer) -> dict[str, float]:
    """One step that warms up, one that is timed, and one batch of the evaluation; tells time and memory."""
    config, parts = trainer.config, _first_batch(trainer)
    _step(trainer, parts, position=0, mixes=True)
    began = time.perf_counter()
    _step(trainer, parts, position=0, mixes=True)
    step_s = time.perf_counter() - began
    began = time.perf_counter()
    trainer.evaluator({"": trainer.model}, limit=1)
    batch_s = time.perf_counter() - began
    evaluations = max(trainer.scheduler.total_epochs // config.trainer.eval_interval_epochs, 1)
    total_s = trainer.total_steps * step_s + evaluations * len(trainer.eval_loader.batches) * batch_s
    memory_gb = peak_memory_gb()
    speed = config.dataloader.total_batch_size / step_s
    trainer.log.say(
        f"dry run: everything works; {step_s:.3f} s a step without loading ({speed:.1f} images/s), "
        f"{batch_s:.3f} s a batch of the evaluation, {memory_gb:.2f} GB; "
        f"the training would take about {timedelta(seconds=round(total_s))}; nothing was written"
    )
    return {"step_s": step_s, "evaluation_batch_s": batch_s, "memory_gb": memory_gb}


def overfit_batch(trainer: Trainer) -> dict[str, float]:
    """Trains on the first batch alone, at the schedule's highest rate, and looks at what was learnt.

    Raises:
        TrainingError: fewer than 90 % of the pixels are right after 200 steps.
    """
    parts = _first_batch(trainer)
    probes = range(0, trainer.total_steps, max(trainer.total_steps // _STEPS, 1))
    fastest = max(probes, key=trainer.scheduler.lr_at)
    first = loss = accuracy = 0.0
    for done in range(1, _STEPS + 1):
        loss = _step(trainer, parts, position=fastest)
        first = first or loss
        if done % _LOOK_EVERY == 0:
            accuracy = _accuracy(trainer, parts)
            trainer.log.say(f"step {done}: loss {loss:.4f}, accuracy on the batch {accuracy:.2%}")
            if accuracy >= _LEARNT:
                break
    text = f"overfit_batch: loss {first:.4f} -> {loss:.4f}, accuracy on the batch {accuracy:.2%} after {done} steps"
    if accuracy < _FAILED:
        remedy = "check the labels (segkit-predict on a training image), scheduler.optimizer.lr, and the loss"
        raise TrainingError(f"{text}: model, loss and labels do not work together; {remedy}")
    trainer.log.say(f"{text}: model, loss and labels work together; nothing was written")
    return {"accuracy": accuracy, "loss": loss, "steps": done}


def _first_batch(trainer: Trainer) -> Sequence[Batch]:
    with closing(trainer.loader.stream(0)) as stream:  # type: ignore[type-var]
        return list(islice(stream, trainer.config.trainer.accumulation_steps))


def _step(trainer: Trainer, parts: Sequence[Batch], *, position: int, mixes: bool = False) -> float:
    """The loss of a step at the rate of ``position`` in the schedule; waits for the device."""
    trainer.scheduler.apply(trainer.optimizer, position)
    seed_step(trainer.config.trainer.seed, rank=dist.rank(), step=position)
    outcome = trainer.step(parts, position=position if mixes else None, learning_rate=trainer.scheduler.lr_at(position))
    loss = dist.mean_over_ranks(torch.stack(list(outcome.terms.values())).sum()).item()
    if not math.isfinite(loss):
        raise TrainingError(f"the loss of the first batch is not finite ({loss}); lower scheduler.optimizer.lr")
    return loss


def _accuracy(trainer: Trainer, parts: Sequence[Batch]) -> float:
    """The share of the batch's labelled pixels, of all processes, that the model gets right."""
    counts = torch.zeros(2, dtype=torch.long, device=trainer.device)
    trainer.model.eval()
    for part in parts:
        targets = part.masks.to(trainer.device)  # type: ignore[union-attr]
        frame = (int(targets.shape[1]), int(targets.shape[2]))
        whole = replace(part, boxes=torch.tensor([[0, 0, *frame]] * len(targets)), sizes=[frame] * len(targets))
        right = torch.stack(trainer.evaluator.predict(trainer.model, whole)) == targets
        counts += torch.stack([(right & (targets != IGNORE_INDEX)).sum(), (targets != IGNORE_INDEX).sum()])
    trainer.model.train()
    right_pixels, labelled = dist.sum_over_ranks(counts).tolist()
    return right_pixels / max(labelled, 1)
