"""Learning rates as pure functions of the step: nothing to save, nothing to restore."""

import math
from abc import ABC, abstractmethod

from torch.optim import Optimizer

from segkit.config.training import CosineSchedulerConfig, PolySchedulerConfig, SchedulerConfig, WarmupConfig
from segkit.registry import SCHEDULERS


def poly_decay(progress: float, *, power: float) -> float:
    """(1 - progress) ** power, from 1 to 0 (Chen et al., 2017, arXiv:1606.00915)."""
    return float((1 - progress) ** power)


def cosine_decay(progress: float) -> float:
    """Half a cosine, from 1 to 0 (Loshchilov and Hutter, 2017, arXiv:1608.03983)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def warmup_factor(position: int, config: WarmupConfig) -> float:
    """The factor on the decayed rate at ``position`` (steps or epochs done); 1 once the warm-up is over.

    A constant warm-up still holds at ``position == config.length``; the others reach 1 there.
    """
    if config.length == 0 or position > config.length:
        return 1.0
    share = position / config.length
    if config.type == "constant":
        return config.ratio
    if config.type == "linear":
        return 1 - (1 - share) * (1 - config.ratio)
    return float(config.ratio ** (1 - share))


class Scheduler(ABC):
    """The learning rate of every step.

    Args:
        config: the options.
        steps_per_epoch: optimiser steps of one pass over the training split.

    Attributes:
        total_steps: where training ends.
    """

    def __init__(self, config: SchedulerConfig, steps_per_epoch: int) -> None:
        self.config = config
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = config.max_steps or config.max_epochs * steps_per_epoch
        self.total_epochs = math.ceil(self.total_steps / steps_per_epoch)

    @abstractmethod
    def decay(self, progress: float) -> float:
        """The share of the rate above ``min_lr`` that is left at ``progress`` in [0, 1]; 1 at 0 and 0 at 1."""

    def lr_at(self, step: int) -> float:
        """The base rate of the step that follows ``step`` finished ones, before the multipliers of the groups."""
        config = self.config
        epoch = step // self.steps_per_epoch
        progress = epoch / self.total_epochs if config.by_epoch else step / self.total_steps
        lr = config.optimizer.lr
        min_lr = 0.01 * lr if config.min_lr is None else config.min_lr
        decayed = (lr - min_lr) * self.decay(progress) + min_lr
        return decayed * warmup_factor(epoch if config.warmup.by_epoch else step, config.warmup)

    def apply(self, optimizer: Optimizer, step: int) -> float:
        """Sets the rate of every group for the step that follows ``step`` finished ones; returns the base rate."""
        lr = self.lr_at(step)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["lr_multiplier"]
        return lr


@SCHEDULERS.register(PolySchedulerConfig)
class PolyScheduler(Scheduler):
    """From the base rate to ``min_lr`` along (1 - progress) ** power."""

    config: PolySchedulerConfig

    def decay(self, progress: float) -> float:
        return poly_decay(progress, power=self.config.power)


@SCHEDULERS.register(CosineSchedulerConfig)
class CosineScheduler(Scheduler):
    """From the base rate to ``min_lr`` along half a cosine."""

    def decay(self, progress: float) -> float:
        return cosine_decay(progress)
