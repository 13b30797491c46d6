"""Batches are functions of seed, epoch and step, and the same for any number of processes and parts."""

import numpy as np
import pytest

from segkit.data.orders import EverySample
from segkit.data.sampler import Key, TrainBatches, epoch_order, eval_batches, sample_rng
from segkit.errors import ConfigError


def batches(
    visits: int = 40, size: int = 8, *, rank: int = 0, world: int = 1, parts: int = 1, **kwargs
) -> TrainBatches:
    return TrainBatches(EverySample(visits), size, seed=3, rank=rank, world_size=world, parts=parts, **kwargs)


def global_step(step: int, world: int, parts: int) -> list[Key]:
    """What all ranks load for a step, part by part and rank by rank."""
    loaders = [batches(rank=rank, world=world, parts=parts) for rank in range(world)]
    return [key for part in range(parts) for loader in loaders for key in loader.batch(step, part)]


@pytest.mark.parametrize(("world", "parts"), [(2, 1), (4, 1), (1, 2), (2, 2), (8, 1), (1, 8), (4, 2)])
def test_one_process_of_8_sees_what_many_see_together(world: int, parts: int) -> None:
    for step in (0, 3, 4, 11):
        assert global_step(step, world, parts) == global_step(step, 1, 1)


def test_an_epoch_visits_everything_once_and_epochs_differ() -> None:
    loader = batches()
    epochs = [[key for step in range(5) for key in loader.batch(epoch * 5 + step, 0)] for epoch in range(3)]
    for number, epoch in enumerate(epochs):
        assert sorted(epoch) == [Key(number, visit, visit) for visit in range(40)]
    assert len({tuple(key.visit for key in epoch) for epoch in epochs}) == 3


def test_a_stream_can_be_entered_anywhere() -> None:
    whole = batches(parts=2).stream(0)
    seen = [next(whole) for _ in range(24)]
    for start in (0, 1, 4, 5, 9):
        stream = batches(parts=2).stream(start)
        assert [next(stream) for _ in range(4)] == seen[2 * start : 2 * start + 4]


def test_the_rest_of_an_epoch_is_dropped_or_filled_up() -> None:
    dropped, filled = batches(visits=20), batches(visits=20, drop_last=False)
    assert (dropped.steps_per_epoch, filled.steps_per_epoch) == (2, 3)
    last = filled.batch(2, 0)
    assert len(last) == 8
    assert last[4:] == filled.batch(0, 0)[:4]
    assert {key for step in range(3) for key in filled.batch(step, 0)} == {Key(0, visit, visit) for visit in range(20)}
    assert batches(visits=3, drop_last=False).batch(0, 0)[3:6] == batches(visits=3, drop_last=False).batch(0, 0)[:3]


def test_batches_that_do_not_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="8 does not divide over 3 processes x 1"):
        batches(world=3)
    with pytest.raises(ConfigError, match=r"7 images, fewer than dataloader.total_batch_size 8"):
        batches(visits=7)


def test_randomness_of_samples_and_order_never_meets() -> None:
    streams = {tuple(sample_rng(0, epoch, visit).integers(2**62, size=2)) for epoch in range(5) for visit in range(50)}
    assert len(streams) == 250
    order = epoch_order(0, 0, 50)
    assert (order != sample_rng(0, 0, 0).permutation(50)).any()
    np.testing.assert_array_equal(order, epoch_order(0, 0, 50))
    assert (order != epoch_order(1, 0, 50)).any()


@pytest.mark.parametrize("samples", [1, 7, 12])
@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_evaluation_shards_are_disjoint_and_complete(samples: int, world: int) -> None:
    shards = [eval_batches(samples, 2, rank=rank, world_size=world) for rank in range(world)]
    visits = [key.visit for shard in shards for batch in shard for key in batch]
    assert sorted(visits) == list(range(samples))
    assert all(len(batch) <= 2 for shard in shards for batch in shard)
