"""Which samples make which batch: functions of (seed, epoch, step), and of nothing that happened before."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkit.data.orders import Order
from segkit.errors import ConfigError


class Key(NamedTuple):
    """One visit to a sample: its number among an epoch's visits, from which its randomness is drawn, and the sample."""

    epoch: int
    visit: int
    sample: int


def sample_rng(seed: int, epoch: int, visit: int) -> np.random.Generator:
    """The generator of all randomness of one visit."""
    return np.random.default_rng((seed, epoch, visit))


def epoch_order(seed: int, epoch: int, visits: int) -> NDArray[np.int64]:
    """The order of an epoch's visits, the same in every process."""
    # The spawn key keeps this stream apart from those of the samples: (seed, epoch) and (seed, epoch, 0) agree.
    return np.random.default_rng(np.random.SeedSequence((seed, epoch), spawn_key=(1,))).permutation(visits)


def epoch_samples(seed: int, epoch: int, order: Order) -> NDArray[np.int64]:
    """The sample of each of an epoch's visits, the same in every process."""
    return order.indices(np.random.default_rng(np.random.SeedSequence((seed, epoch), spawn_key=(2,))))


class TrainBatches:
    """The batches of one process, endlessly, from any step on.

    Step ``s`` of an epoch takes part ``s`` of its order. With accumulation, the step's images are cut into
    consecutive parts; of each, every rank takes its share. So the parts together, over all ranks, are the same images
    for any number of processes and parts.

    Args:
        order: which samples an epoch visits.
        batch_size: images of a step, over all ranks and parts.
        seed: of the order.
        rank: this process.
        world_size: number of processes.
        parts: accumulation steps.
        drop_last: leave out the rest of an epoch that fills no step; else fill it up from the epoch's beginning.

    Raises:
        ConfigError: the batch size does not divide, or the epoch is smaller than a batch.
    """

    def __init__(
        self,
        order: Order,
        batch_size: int,
        *,
        seed: int,
        rank: int,
        world_size: int,
        parts: int,
        drop_last: bool = True,
    ) -> None:
        if batch_size % (world_size * parts):
            raise ConfigError(
                f"dataloader.total_batch_size {batch_size} does not divide over {world_size} processes x {parts} "
                "accumulation steps"
            )
        visits = order.visits
        if drop_last and visits < batch_size:
            raise ConfigError(
                f"an epoch has {visits} images, fewer than dataloader.total_batch_size {batch_size}; lower that, raise "
                "dataset.repeat_times, or set dataloader.drop_last=false"
            )
        self.visits = visits
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.parts = parts
        self.steps_per_epoch = visits // batch_size if drop_last else -(-visits // batch_size)
        self._epoch = lru_cache(maxsize=2)(
            lambda epoch: (epoch_order(seed, epoch, visits), epoch_samples(seed, epoch, order))
        )

    def batch(self, step: int, part: int) -> list[Key]:
        """This rank's keys of one part of a step; ``step`` counts from the beginning of the training."""
        epoch, step = divmod(step, self.steps_per_epoch)
        share = self.batch_size // (self.parts * self.world_size)
        start = step * self.batch_size + (part * self.world_size + self.rank) * share
        places = np.arange(start, start + share) % self.visits
        visits, samples = self._epoch(epoch)
        return [Key(epoch, int(visit), int(samples[visit])) for visit in visits[places]]

    def stream(self, start_step: int) -> Iterator[list[Key]]:
        """The parts of all steps from ``start_step`` on, endlessly."""
        step = start_step
        while True:
            for part in range(self.parts):
                yield self.batch(step, part)
            step += 1


def eval_batches(samples: int, batch_size: int, *, rank: int, world_size: int) -> list[list[Key]]:
    """A rank's disjoint share of a split, in batches; the last may be smaller and nothing is repeated."""
    mine = range(rank, samples, world_size)
    return [[Key(0, i, i) for i in mine[at : at + batch_size]] for at in range(0, len(mine), batch_size)]
