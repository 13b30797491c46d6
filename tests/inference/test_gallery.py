"""Images worth a look: the same ones, the worst and the best, whatever the batches; and the confusions of classes."""

import math

import numpy as np
import pytest
import torch

from segkit.inference.confusion import confusion_svg, draw_confusion, most_confused
from segkit.inference.gallery import Gallery
from segkit.types import Batch, ClassInfo


def images(
    scores: list[float], *, size: int = 3, side: tuple[int, int] = (20, 40)
) -> list[tuple[Batch, list[torch.Tensor]]]:
    """Batches of images, numbered from 0, whose pixels tell their number."""
    batches = []
    for start in range(0, len(scores), size):
        places = list(range(start, min(start + size, len(scores))))
        pixels = torch.stack([torch.full((3, *side), place, dtype=torch.uint8) for place in places])
        batch = Batch(
            images=pixels,
            masks=pixels[:, 0].contiguous(),
            boxes=torch.tensor([[0, 0, *side]] * len(places)),
            names=[f"image_{place}" for place in places],
            sizes=[side] * len(places),
            samples=places,
        )
        batches.append((batch, [torch.tensor(scores[place]) for place in places]))
    return batches


@pytest.mark.parametrize("size", [1, 3, 20])
def test_the_worst_the_best_and_the_chosen(size: int) -> None:
    scores = np.random.default_rng(0).permutation(20) / 20
    gallery = Gallery([0, 7], ranked=3)
    for batch, own in images(scores.tolist(), size=size):
        gallery.see(batch, [mask + 1 for mask in batch.masks], own)
    gallery.gather()
    order = np.argsort(scores)
    assert [one.place for one in gallery.worst] == order[:3].tolist()
    assert [one.place for one in gallery.best] == order[::-1][:3].tolist()
    assert [one.place for one in gallery.shown] == [0, 7]
    for one in (*gallery.shown, *gallery.worst, *gallery.best):
        assert one.name == f"image_{one.place}"
        assert one.score == pytest.approx(scores[one.place])
        assert set(one.image.flat) == set(one.label.flat) == {one.place}
        assert set(one.preds.flat) == {one.place + 1}


def test_few_images_come_once_and_those_without_a_label_not_at_all() -> None:
    gallery = Gallery([], ranked=4)
    for batch, own in images([0.5, math.nan, 0.2, 0.9, 0.7, 0.1]):
        gallery.see(batch, list(batch.masks), own)
    gallery.gather()
    assert [one.place for one in gallery.worst] == [5, 2, 0, 4]
    assert [one.place for one in gallery.best] == [3]


def test_what_is_kept_is_small() -> None:
    gallery = Gallery([0], ranked=0, side=16)
    for batch, own in images([0.5], side=(64, 160)):
        gallery.see(batch, list(batch.masks), own)
    gallery.gather()
    (one,) = gallery.shown
    assert one.image.shape == (6, 16, 3)
    assert one.label.shape == one.preds.shape == (6, 16)


def test_confusions() -> None:
    counts = np.array([[90, 10, 0], [30, 60, 10], [0, 0, 0]])
    pairs = most_confused(counts, 5)
    assert [(p.label, p.preds, p.pixels) for p in pairs] == [(1, 0, 30), (0, 1, 10), (1, 2, 10)]
    assert pairs[0].share == pytest.approx(0.3)
    drawn = draw_confusion(counts)
    assert drawn.shape == (3, 3, 3)
    assert drawn[0, 0, 2] > drawn[0, 0, 0]  # right is blue
    assert drawn[1, 0, 0] > drawn[1, 0, 2]  # wrong is red
    assert (drawn[0, 2] == 255).all()  # never
    assert len(set(map(tuple, drawn[2]))) == 1  # not labelled
    svg = confusion_svg(counts, ClassInfo(("a<b", "b", "c"), ((0, 0, 0),) * 3))
    assert "a&lt;b" in svg
    assert svg.count(">30</text>") == 1
    many = confusion_svg(
        np.eye(150, dtype=np.int64), ClassInfo(tuple("x" * 30 for _ in range(150)), ((0, 0, 0),) * 150)
    )
    assert len(many) < 100_000
