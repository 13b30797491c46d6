"""From images to class ids, with memory that does not grow with classes times pixels."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from segkit.config.inference import InferenceConfig
from segkit.inference.look import Look, Model
from segkit.inference.tta import looks
from segkit.ops.resize import resize
from segkit.ops.rows import resize_rows, source_rows

BLOCK_ELEMENTS = 2**22
"""Scores held at the result's size at a time: 16 MiB, for about as long as a processor's cache holds them."""

Size = tuple[int, int]


@torch.no_grad()
def predict_scores(model: Model, images: Tensor, config: InferenceConfig, *, size: Size | None = None) -> Tensor:
    """Scores of every class: logits, or probabilities where ``config.average`` is "probs".

    Args:
        model: in eval mode; called under the caller's autocast.
        images: (N, C, H, W), normalised.
        config: the way of looking; ``tta.swaps`` null means none.
        size: (height, width) of the result; None is the images'.

    Returns:
        (N, K, height, width) float32.
    """
    return torch.cat([block for _, block in _blocks(model, images, config, size)], dim=2)


def predict_probs(model: Model, images: Tensor, config: InferenceConfig, *, size: Size | None = None) -> Tensor:
    """Probabilities of every class: (N, K, height, width) float32; see :func:`predict_scores`.

    They sum to 1 over the classes; a single class has its own, by the sigmoid.
    """
    scores = predict_scores(model, images, config, size=size)
    if config.average == "probs":
        return scores
    return scores.sigmoid_() if scores.shape[1] == 1 else scores.softmax(dim=1)


@torch.no_grad()
def predict_classes(model: Model, images: Tensor, config: InferenceConfig, *, size: Size | None = None) -> Tensor:
    """The likeliest class of each pixel: (N, height, width) uint8; see :func:`predict_scores`.

    A single class is 1 where its probability reaches ``config.threshold``, else 0. The scores exist for a block of
    rows at a time only; the result is that of all rows at once.
    """
    height, width = size or images.shape[2:]
    result = torch.empty(len(images), height, width, dtype=torch.uint8, device=images.device)
    for first, block in _blocks(model, images, config, size):
        result[:, first : first + block.shape[2]] = _decided(block, config)
    return result


def predict_batch(
    model: Model, images: Tensor, config: InferenceConfig, *, sizes: Sequence[Size], boxes: Tensor | None = None
) -> list[Tensor]:
    """Class ids of each image of a batch, at its own size: N tensors (height, width) uint8.

    Args:
        model: as in :func:`predict_scores`, as are ``images`` and ``config``.
        images: see there.
        config: see there.
        sizes: N pairs (height, width).
        boxes: (N, 4) rows (top, left, height, width): where the image lies in its padded frame; None is everywhere.
    """
    frame = [0, 0, *images.shape[2:]]
    padded = [False] * len(images) if boxes is None else [box != frame for box in boxes.tolist()]
    if not any(padded) and len(set(sizes)) == 1:
        return list(predict_classes(model, images, config, size=sizes[0]))
    results = []
    for index, size in enumerate(sizes):
        image = images[index : index + 1]
        if boxes is not None and padded[index]:
            classes = _classes_in_box(model, image, config, size=size, box=boxes[index].tolist())
        else:
            classes = predict_classes(model, image, config, size=size)
        results.append(classes[0])
    return results


def _classes_in_box(model: Model, images: Tensor, config: InferenceConfig, *, size: Size, box: Sequence[int]) -> Tensor:
    top, left, height, width = box
    scores = predict_scores(model, images, config)[:, :, top : top + height, left : left + width]
    return _decided(resize(scores, size, align_corners=model.align_corners), config)


def _blocks(model: Model, images: Tensor, config: InferenceConfig, size: Size | None) -> Iterator[tuple[int, Tensor]]:
    """Pairs (first row, (N, K, rows, width) scores): the mean of all looks at the result's size, from the top down."""
    height, width = size or (images.shape[2], images.shape[3])
    taken = list(looks(model, images, config))
    rows = max(BLOCK_ELEMENTS // (len(images) * taken[0].num_classes * width), 1)
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        parts = (_resized(look, (height, width), start, stop, model.align_corners) for look in taken)
        total = next(parts)
        for part in parts:
            total = total + part
        yield start, total / len(taken) if len(taken) > 1 else total


def _resized(look: Look, size: Size, start: int, stop: int, align_corners: bool) -> Tensor:
    first, last = source_rows(start, stop, look.height, size[0], align_corners=align_corners)
    band = look.rows(first, last)
    return resize_rows(band, first, look.height, size, start, stop, align_corners=align_corners)


def _decided(scores: Tensor, config: InferenceConfig) -> Tensor:
    """(N, K, H, W) -> (N, H, W) uint8."""
    if scores.shape[1] > 1:
        return scores.max(dim=1).indices.to(torch.uint8)  # argmax takes five times as long on the CPU
    probs = scores if config.average == "probs" else scores.sigmoid()
    return (probs[:, 0] >= config.threshold).to(torch.uint8)
