"""Which samples an epoch visits: shares are exact, nothing comes twice before all came once, and rare classes count."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from segkit.build import build_loader
from segkit.config.datasets import ShapesConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.config.training import ClassBalanceConfig, DataloaderConfig
from segkit.data.counts import count_classes
from segkit.data.orders import ClassBalanced, EverySample, Mixed, OneOfEach, Order, Repeated, order_of, whole_counts
from segkit.data.sampler import TrainBatches, epoch_samples
from segkit.errors import DatasetError
from segkit.types import ClassInfo, Sample

GROUPS = [np.array([0, 1, 2]), np.array([3]), np.array([4, 5])]
PIXELS = np.array([[900, 100, 0], [1000, 0, 0], [990, 0, 10], [1000, 0, 0]])
ORDERS: dict[str, Order] = {
    "every": EverySample(6),
    "one of each": OneOfEach(GROUPS),
    "repeated": Repeated(OneOfEach(GROUPS), 3),
    "mixed": Mixed([EverySample(6), EverySample(4)], [0, 6]),
    "shares": Mixed([EverySample(6), EverySample(4)], [0, 6], [1.0, 3.0]),
    "balanced": ClassBalanced(12, PIXELS, temperature=0.01, min_pixels=1),
}
every_order = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


@every_order
def test_an_epoch_depends_on_seed_and_number_alone(order: Order) -> None:
    first = epoch_samples(5, 2, order)
    assert (len(first), first.dtype) == (order.visits, np.int64)
    np.testing.assert_array_equal(first, epoch_samples(5, 2, order))


@every_order
def test_processes_share_any_order_and_enter_it_anywhere(order: Order) -> None:
    def batches(rank: int, world: int) -> TrainBatches:
        return TrainBatches(order, 2, seed=1, rank=rank, world_size=world, parts=1, drop_last=False)

    for step in range(8):
        alone = batches(0, 1).batch(step, 0)
        assert [key for rank in range(2) for key in batches(rank, 2).batch(step, 0)] == alone
        assert [key.sample for key in alone] == [int(epoch_samples(1, key.epoch, order)[key.visit]) for key in alone]


def test_one_frame_of_each_video_changes_from_epoch_to_epoch() -> None:
    epochs = np.stack([epoch_samples(0, epoch, ORDERS["one of each"]) for epoch in range(40)])
    for column, group in zip(epochs.T, GROUPS, strict=True):
        assert set(column.tolist()) == set(group.tolist())


def test_shares_are_exact_and_the_small_part_comes_round_evenly() -> None:
    drawn = epoch_samples(0, 0, Mixed([EverySample(2), EverySample(8)], [0, 2], [1, 1]))
    counts = np.bincount(drawn, minlength=10)
    assert (counts[:2].sum(), counts[2:].sum()) == (5, 5)
    assert set(counts[:2].tolist()) == {2, 3}
    assert counts[2:].max() == 1
    assert whole_counts(10, [1, 1, 1]) == [3, 4, 3]
    assert sum(whole_counts(7, [0.1, 5, 2.5])) == 7


def test_rare_classes_are_drawn_more_often() -> None:
    cool, warm = (ClassBalanced(3000, PIXELS, temperature=t, min_pixels=1) for t in (0.05, 1e6))
    share = PIXELS.sum(axis=0) / PIXELS.sum()
    np.testing.assert_allclose(cool.probs, np.exp((1 - share) / 0.05) / np.exp((1 - share) / 0.05).sum())
    np.testing.assert_allclose(warm.probs, 1 / 3, rtol=1e-5)
    counts = np.bincount(epoch_samples(0, 0, cool), minlength=4)
    assert counts[2] > counts[0] > counts[1]  # the rarest class, the next, and the background only
    assert abs(counts[2] / 3000 - (cool.probs[2] + cool.probs[0] / 4)) < 0.05


def test_a_few_stray_pixels_do_not_show_a_class() -> None:
    order = ClassBalanced(100, PIXELS, temperature=0.01, min_pixels=50)
    assert 2 not in order.classes
    assert set(epoch_samples(0, 0, order).tolist()) == {0}


@dataclass
class Labels:
    """A data set of labels only."""

    masks: list[np.ndarray | None]
    info: ClassInfo = field(default_factory=lambda: ClassInfo(("a", "b"), ((0, 0, 0), (9, 9, 9))))

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> Sample:
        raise AssertionError("the image is not needed")

    def mask(self, index: int) -> np.ndarray | None:
        if index == 3:
            raise DatasetError("torn")
        return self.masks[index]


def test_counting_reads_labels_without_images() -> None:
    data = Labels([np.array([[0, 1, 255]], np.uint8), None, np.array([[1, 1, 1]], np.uint8)])
    assert count_classes(data).tolist() == [[1, 1], [0, 0], [0, 3]]
    data.masks.append(None)
    with pytest.raises(DatasetError, match="torn"):
        count_classes(data)
    assert count_classes(data, skip_errors=True)[3].tolist() == [0, 0]
    with pytest.raises(DatasetError, match="no class occurs in 1 training labels"):
        count_classes(Labels([None]))


def test_the_option_reaches_the_loader() -> None:
    data = ShapesConfig(num_train=8, num_val=2, image_size=(32, 32))
    balance = ClassBalanceConfig(enabled=True, temperature=0.001, min_pixels=1)
    loaders = [
        build_loader(
            SegmentorConfig(
                dataset=data, dataloader=DataloaderConfig(total_batch_size=4, num_workers=0, class_balance=b)
            ),
            "train",
        )
        for b in (ClassBalanceConfig(), balance)
    ]
    plain, balanced = (sorted(k.sample for s in range(2) for k in loader.batches.batch(s, 0)) for loader in loaders)
    assert plain == list(range(8))
    assert balanced != plain
    assert order_of(loaders[0].source.dataset).visits == 8
    assert loaders[1].steps_per_epoch == 2
