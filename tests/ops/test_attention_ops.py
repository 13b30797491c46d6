"""Criss-cross attention, point masks, edges: against loops that follow their definitions, and their gradients."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from segkit.ops.criss_cross import criss_cross_attention
from segkit.ops.edges import label_edges
from segkit.ops.labels import classes_present
from segkit.ops.point_masks import place_masks

SIZES = [(3, 4), (1, 5), (4, 1), (1, 1)]


def normal(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_criss_cross_attention_is_its_loop(height: int, width: int) -> None:
    query, key, value = normal(2, 3, height, width), normal(2, 3, height, width) + 1, normal(2, 5, height, width)
    wanted = torch.zeros_like(value)
    for n, r, c in np.ndindex(2, height, width):
        cells = [(i, c) for i in range(height) if i != r] + [(r, j) for j in range(width)]
        weights = torch.stack([query[n, :, r, c] @ key[n, :, i, j] for i, j in cells]).softmax(0)
        wanted[n, :, r, c] = sum(w * value[n, :, i, j] for w, (i, j) in zip(weights, cells, strict=True))
    torch.testing.assert_close(criss_cross_attention(query, key, value), wanted)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_criss_cross_attention_has_the_right_gradient(height: int, width: int) -> None:
    inputs = [normal(1, channels, height, width).requires_grad_() for channels in (2, 2, 3)]
    assert torch.autograd.gradcheck(criss_cross_attention, inputs)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("size", [(3, 3), (7, 7), (1, 5), (4, 2)])
def test_masks_are_placed_as_their_definition_says(height: int, width: int, size: tuple[int, int]) -> None:
    masks = normal(2, size[0] * size[1], height, width)
    wanted = torch.zeros(2, height * width, height * width, dtype=masks.dtype)
    for i, j, r, c in np.ndindex(*size, height, width):
        row, column = r + i - (size[0] - 1) // 2, c + j - (size[1] - 1) // 2
        if 0 <= row < height and 0 <= column < width:
            wanted[:, row * width + column, r * width + c] = masks[:, i * size[1] + j, r, c]
    assert torch.equal(place_masks(masks, size), wanted)


def test_placing_masks_has_the_right_gradient() -> None:
    masks = normal(1, 15, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: place_masks(x, (5, 3)), [masks])


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
def test_edges_are_where_classes_meet(width: int) -> None:
    labels = np.random.default_rng(width).integers(0, 3, (12, 15)).repeat(3, 0).repeat(3, 1)
    labels[5:9, 7:20] = 255
    edges = np.zeros(labels.shape, np.uint8)
    rows, columns = labels.shape
    for r, c in np.ndindex(rows, columns):
        pairs = [((r, c), (r - 1, c), (r, c)), ((r, c), (r, c + 1), (r, c)), ((r, c), (r + 1, c + 1), (r, c))]
        pairs += [((r, c), (r + 1, c - 1), (r, c))]
        for a, b, mark in pairs:
            inside = all(0 <= y < rows and 0 <= x < columns for y, x in (a, b))
            if inside and labels[a] != labels[b] and 255 not in (labels[a], labels[b]):
                edges[mark] = 1
    wanted = cv2.dilate(edges, np.ones((width, width), np.uint8)).astype(np.int64)
    wanted[labels == 255] = 255
    got = label_edges(torch.from_numpy(labels)[None], width=width, ignore_index=255)
    np.testing.assert_array_equal(got[0].numpy(), wanted)


def test_classes_of_an_image() -> None:
    labels = torch.tensor([[[0, 2], [255, 2]], [[255, 255], [-1, 3]]])
    assert classes_present(labels, 3).tolist() == [[True, False, True], [False, False, False]]
