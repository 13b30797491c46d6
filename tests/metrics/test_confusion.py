"""Counting, in one process and in several."""

import math
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor

from segkit.metrics import ConfusionMatrix
from segkit.metrics.confusion import class_iou, mean_iou


def pair(num_classes: int, *shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random predictions and labels; every tenth label is no class."""
    generator = torch.Generator().manual_seed(seed)
    preds = torch.randint(0, num_classes, shape, generator=generator, dtype=torch.uint8)
    target = torch.randint(0, num_classes, shape, generator=generator, dtype=torch.uint8)
    target.view(-1)[::10] = 255
    return preds, target


@pytest.mark.parametrize("num_classes", [2, 19, 150, 255])
def test_counts_are_those_of_a_loop(num_classes: int) -> None:
    preds, target = pair(num_classes, 2, 9, 11)
    matrix = ConfusionMatrix(num_classes)
    matrix.update(preds, target)
    expected = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    for label, pred in zip(target.flatten().tolist(), preds.flatten().tolist(), strict=True):
        if label < num_classes:
            expected[label, pred] += 1
    assert torch.equal(matrix.counts, expected)


def test_streamed_is_all_at_once() -> None:
    preds, target = pair(7, 5, 8, 9)
    streamed, whole = ConfusionMatrix(7), ConfusionMatrix(7)
    for p, t in zip(preds, target, strict=True):
        streamed.update(p, t)
    whole.update(preds, target)
    assert torch.equal(streamed.counts, whole.counts)


def test_yes_or_no_counts_both() -> None:
    matrix = ConfusionMatrix(1)
    matrix.update(torch.tensor([0, 1, 1, 0], dtype=torch.uint8), torch.tensor([0, 1, 0, 255], dtype=torch.uint8))
    assert matrix.counts.tolist() == [[1, 1], [0, 1]]


def test_predictions_of_no_class_are_an_error_where_labelled() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(torch.tensor([0, 2], dtype=torch.uint8), torch.tensor([1, 255], dtype=torch.uint8))
    assert int(matrix.counts.sum()) == 1
    matrix.update(torch.tensor([2], dtype=torch.uint8), torch.tensor([1], dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"below 2 \(got a prediction of 2\)"):
        _ = matrix.counts


def test_an_images_own_iou() -> None:
    matrix = ConfusionMatrix(4)
    matrix.update(*pair(4, 9, 11))  # which does not come into what follows
    label = torch.tensor([[0, 0, 1, 1, 255, 255]], dtype=torch.uint8)
    preds = torch.tensor([[0, 0, 1, 2, 3, 0]], dtype=torch.uint8)
    counts = matrix.update(preds, label)
    assert counts.tolist() == [[2, 1, 0, 0], [2, 2, 0, 0], [2, 1, 1, 0]]
    # Class 3 is predicted only where nothing is labelled.
    assert class_iou(counts).tolist() == pytest.approx([1, 0.5, 0, math.nan], nan_ok=True)
    assert mean_iou(counts).item() == pytest.approx(0.5)
    assert math.isnan(mean_iou(matrix.update(preds, torch.full_like(label, 255))).item())
    alone = ConfusionMatrix(1)
    assert mean_iou(alone.update(preds.clamp(max=1), label)).item() == pytest.approx(1.0)


@pytest.mark.parametrize("target", [torch.zeros(2, 3, dtype=torch.int64), torch.zeros(3, 2, dtype=torch.uint8)])
def test_other_types_and_shapes_are_refused(target: Tensor) -> None:
    with pytest.raises(ValueError, match="uint8 of one shape"):
        ConfusionMatrix(2).update(torch.zeros(2, 3, dtype=torch.uint8), target)


def _count(rank: int, world: int, images: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    preds, target = pair(5, images, 6, 7)
    matrix = ConfusionMatrix(5)
    for index in range(rank, images, world):
        matrix.update(preds[index], target[index])
    torch.save(matrix.sum_over_ranks().counts, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("world", "images"), [(3, 7), (2, 1)])
def test_several_processes_count_each_image_once(tmp_path: Path, world: int, images: int) -> None:
    mp.spawn(_count, (world, images, str(tmp_path)), nprocs=world)
    preds, target = pair(5, images, 6, 7)
    whole = ConfusionMatrix(5)
    whole.update(preds, target)
    for rank in range(world):
        assert torch.equal(torch.load(tmp_path / f"{rank}.pt"), whole.counts)
