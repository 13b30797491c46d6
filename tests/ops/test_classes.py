"""Sums over the pixels of classes equal those of features that are resized in full."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.ops.classes import (
    class_sums,
    class_vectors,
    corners,
    flat_labels,
    label_sums,
    shares_of_cells,
    spread,
    squared_norms,
    values_at_labels,
)
from segkit.types import IGNORE_INDEX

CLASSES = 4
every_size = pytest.mark.parametrize("pixels", [(20, 28), (5, 7), (13, 9), (3, 2), (1, 1)])
either_way = pytest.mark.parametrize("align_corners", [False, True])


def make(pixels: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Features of 5 x 7 cells, and labels of which some are ignored and class 3 is nowhere."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 6, 5, 7, generator=generator)
    target = torch.randint(0, 3, (2, *pixels), generator=generator)
    target[:, ::2, ::3] = IGNORE_INDEX
    return features, target


def resized(features: Tensor, pixels: tuple[int, int], align_corners: bool) -> Tensor:
    return F.interpolate(features, pixels, mode="bilinear", align_corners=align_corners)


@every_size
@either_way
def test_sums_of_classes(pixels: tuple[int, int], align_corners: bool) -> None:
    features, target = make(pixels)
    ours = class_sums(features, target, CLASSES, align_corners=align_corners)
    whole = resized(features, pixels, align_corners).movedim(1, -1)
    for label in range(CLASSES):
        assert ours.counts[label] == (target == label).sum()
        torch.testing.assert_close(ours.sums[label], whole[target == label].sum(0), rtol=1e-5, atol=1e-4)


@every_size
@either_way
def test_lengths_and_values_at_pixels(pixels: tuple[int, int], align_corners: bool) -> None:
    features, target = make(pixels)
    at = corners((5, 7), pixels, align_corners=align_corners, device=torch.device("cpu"))
    whole = resized(features, pixels, align_corners).flatten(2)
    torch.testing.assert_close(squared_norms(features, at), (whole**2).sum(1), rtol=1e-4, atol=1e-5)
    labels, valid = flat_labels(target, CLASSES)
    assert torch.equal(valid.bool(), (target != IGNORE_INDEX).flatten(1))
    torch.testing.assert_close(values_at_labels(features, labels, at), whole.gather(1, labels[:, None])[:, 0])


def test_weights_of_pixels_reach_the_sums() -> None:
    features, target = make((20, 28))
    at = corners((5, 7), (20, 28), align_corners=False, device=torch.device("cpu"))
    labels, valid = flat_labels(target, CLASSES)
    weights = valid * torch.rand(valid.shape, generator=torch.Generator().manual_seed(1))
    shares = shares_of_cells(weights, labels, CLASSES, at, 35)
    sums = torch.einsum("nkp,ncp->kc", shares, features.flatten(2))
    whole = resized(features, (20, 28), False).flatten(2)
    for label in range(CLASSES):
        expected = (whole * (weights * (labels == label))[:, None]).sum((0, 2))
        torch.testing.assert_close(sums[label], expected, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(label_sums(weights, labels, CLASSES)[label], weights[labels == label].sum())


def test_each_cell_gets_the_weighted_mean_of_its_class() -> None:
    generator = torch.Generator().manual_seed(2)
    features, logits = torch.randn(2, 6, 5, 7, generator=generator), torch.randn(2, 4, 5, 7, generator=generator)
    logits[0, 2] = -9.0  # a class that image 0 lacks
    logits.requires_grad_()
    vectors, labels = class_vectors(features, logits)
    assert torch.equal(vectors[0, 2], torch.zeros(6))
    out = spread(vectors, labels)
    for image in range(2):
        for label in labels[image].unique().tolist():
            cells = labels[image] == label
            shares = logits[image, label][cells].softmax(0)
            mean = (features[image][:, cells] * shares).sum(1)
            torch.testing.assert_close(out[image][:, cells], mean[:, None].expand(-1, int(cells.sum())))
    out.square().sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
