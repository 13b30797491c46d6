"""What each schedule promises of the rate of every step. The reference's numbers are in tests/golden."""

import itertools
from typing import Any

import pytest

from segkit.config.training import (
    CosineSchedulerConfig,
    PolySchedulerConfig,
    SGDConfig,
    WarmupConfig,
)
from segkit.optim.schedulers import Scheduler
from segkit.registry import SCHEDULERS

NAMES = ("PolyScheduler", "CosineScheduler")
CONFIGS = {"PolyScheduler": PolySchedulerConfig, "CosineScheduler": CosineSchedulerConfig}
every_scheduler = pytest.mark.parametrize("name", NAMES)


def make(name: str, steps_per_epoch: int = 10, **options: Any) -> Scheduler:
    scheduler: Scheduler = SCHEDULERS.build(CONFIGS[name](**options), steps_per_epoch)
    return scheduler


@every_scheduler
@pytest.mark.parametrize("by_epoch", [False, True])
def test_falls_from_the_base_rate_to_min_lr(name: str, by_epoch: bool) -> None:
    scheduler = make(name, max_epochs=5, min_lr=1e-4, by_epoch=by_epoch, optimizer=SGDConfig(lr=0.1))
    rates = [scheduler.lr_at(step) for step in range(scheduler.total_steps + 1)]
    assert scheduler.total_steps == 50
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(1e-4)
    assert all(a >= b for a, b in itertools.pairwise(rates))
    assert len(set(rates)) == (6 if by_epoch else 51)


@every_scheduler
def test_min_lr_defaults_to_a_hundredth(name: str) -> None:
    scheduler = make(name, max_epochs=2, optimizer=SGDConfig(lr=0.5))
    assert scheduler.lr_at(20) == pytest.approx(0.005)


@every_scheduler
def test_max_steps_lays_the_schedule_over_them(name: str) -> None:
    scheduler = make(name, max_steps=25, max_epochs=100, optimizer=SGDConfig(lr=1.0))
    assert (scheduler.total_steps, scheduler.total_epochs) == (25, 3)
    assert scheduler.lr_at(25) == pytest.approx(0.01)


@pytest.mark.parametrize("kind", ["constant", "linear", "exp"])
@pytest.mark.parametrize("by_epoch", [False, True])
def test_warmup_starts_at_its_ratio_and_ends(kind: str, by_epoch: bool) -> None:
    unit = 10 if by_epoch else 1
    warmup = WarmupConfig(type=kind, ratio=0.2, length=3, by_epoch=by_epoch)
    plain = make("PolyScheduler", max_epochs=10)
    warm = make("PolyScheduler", max_epochs=10, warmup=warmup)
    assert warm.lr_at(0) == pytest.approx(0.2 * plain.lr_at(0))
    assert warm.lr_at(4 * unit) == plain.lr_at(4 * unit)
    assert warm.lr_at(2 * unit) < plain.lr_at(2 * unit)
