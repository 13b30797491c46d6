"""From images to class ids, in memory that does not grow with classes times pixels."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from segkit.config.inference import InferenceConfig
from segkit.inference.look import Look, Model
from segkit.inference.tta import looks
from segkit.ops.rows import resize_rows, rows_of_a_band, source_rows
from segkit.types import Batch

Size = tuple[int, int]
Box = tuple[int, int, int, int]


@torch.no_grad()
def predict_scores(
    model: Model, images: Tensor, config: InferenceConfig, *, size: Size | None = None, box: Box | None = None
) -> Tensor:
    """Scores of every class: logits, or probabilities where ``config.average`` is "probs".

    Args:
        model: in eval mode; runs under the caller's autocast.
        images: (N, C, H, W), normalised.
        config: the way of looking, from :func:`segkit.inference.options.inference_options`.
        size: (height, width) of the result; None is that of ``box``.
        box: (top, left, height, width) of the part of the images that counts; None is all.

    Returns:
        (N, K, height, width) float32.
    """
    return torch.cat([block for _, block in _blocks(model, images, config, size, box)], dim=2)


def predict_probs(
    model: Model, images: Tensor, config: InferenceConfig, *, size: Size | None = None, box: Box | None = None
) -> Tensor:
    """Probabilities of every class: (N, K, height, width) float32; arguments as :func:`predict_scores`.

    They sum to 1 over the classes; a single class has its own, by the sigmoid.
    """
    scores = predict_scores(model, images, config, size=size, box=box)
    if config.average == "probs":
        return scores
    return scores.sigmoid_() if scores.shape[1] == 1 else scores.softmax(dim=1)


def predict_classes(
    model: Model, images: Tensor, config: InferenceConfig, *, size: Size | None = None, box: Box | None = None
) -> Tensor:
    """The likeliest class of each pixel: (N, height, width) uint8; arguments as :func:`predict_scores`.

    A single class is 1 where its probability reaches ``config.threshold``, else 0. Scores exist for a block of rows
    at a time only; the result is that of all rows at once.
    """
    return _joined(decided, model, images, config, size, box)


def predict_batch(
    model: Model,
    images: Tensor,
    config: InferenceConfig,
    *,
    sizes: Sequence[Size],
    boxes: Tensor | None = None,
    decide: Callable[[Tensor, InferenceConfig], Tensor] | None = None,
) -> list[Tensor]:
    """Class ids of each image of a batch, at its own size: N tensors (height, width) uint8.

    Args:
        model: as in :func:`predict_scores`.
        images: (N, C, H, W), normalised and padded.
        config: as in :func:`predict_scores`.
        sizes: (height, width) of each result.
        boxes: (N, 4) rows (top, left, height, width): where the images lie in their frames; None is everywhere.
        decide: what to make of the scores of some rows, (N, K, rows, W) to (N, rows, W, ...); None is :func:`decided`.
    """
    decide = decide or decided
    frame = (0, 0, images.shape[2], images.shape[3])
    places: list[Box] = [frame] * len(images) if boxes is None else [_box(row) for row in boxes.tolist()]
    if len(set(sizes)) == len(set(places)) == 1:
        return list(_joined(decide, model, images, config, sizes[0], places[0]))
    return [_joined(decide, model, images[i : i + 1], config, sizes[i], places[i])[0] for i in range(len(images))]


@torch.no_grad()
def _joined(
    decide: Callable[[Tensor, InferenceConfig], Tensor],
    model: Model,
    images: Tensor,
    config: InferenceConfig,
    size: Size | None,
    box: Box | None,
) -> Tensor:
    return torch.cat([decide(block, config) for _, block in _blocks(model, images, config, size, box)], dim=1)


def labels_of(batch: Batch) -> list[Tensor]:
    """The labels of each image of a batch, at the image's own size, without padding: N tensors (height, width) uint8.

    What :func:`predict_batch` with ``batch.sizes`` is compared with.

    Raises:
        ValueError: the batch has no labels.
    """
    if batch.masks is None:
        raise ValueError("the batch has no labels")
    if all(tuple(batch.masks.shape[1:]) == tuple(size) for size in batch.sizes):
        return list(batch.masks)
    # Padded along with their images.
    return [
        mask[top : top + height, left : left + width]
        for mask, (top, left, height, width) in zip(batch.masks, batch.boxes.tolist(), strict=True)
    ]


def _box(row: Sequence[int]) -> Box:
    top, left, height, width = row
    return top, left, height, width


def _blocks(
    model: Model, images: Tensor, config: InferenceConfig, size: Size | None, box: Box | None
) -> Iterator[tuple[int, Tensor]]:
    """Pairs (first row, (N, K, rows, width) scores) at the result's size, from the top down."""
    taken = list(looks(model, images, config))
    frame = (images.shape[2], images.shape[3])
    if box is not None and box != (0, 0, *frame):
        top, left, height, width = box
        whole = torch.cat([block for _, block in _averaged(taken, frame, model.align_corners)], dim=2)
        taken = [Look(height, iter([whole[:, :, top : top + height, left : left + width]]))]
        frame = (height, width)
    yield from _averaged(taken, size or frame, model.align_corners)


def _averaged(taken: Sequence[Look], size: Size, align_corners: bool) -> Iterator[tuple[int, Tensor]]:
    """The mean of all looks, resized."""
    height, width = size
    rows = rows_of_a_band(4 * taken[0].num_images * taken[0].num_classes * width, taken[0].device)
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        total, *others = (_resized(look, size, start, stop, align_corners) for look in taken)
        for other in others:
            total = total + other
        yield start, total / len(taken) if others else total


def _resized(look: Look, size: Size, start: int, stop: int, align_corners: bool) -> Tensor:
    first, last = source_rows(start, stop, look.height, size[0], align_corners=align_corners)
    band = look.rows(first, last)
    return resize_rows(band, first, look.height, size, start, stop, align_corners=align_corners)


def decided(scores: Tensor, config: InferenceConfig) -> Tensor:
    """The likeliest class of (N, K, H, W) scores: (N, H, W) uint8."""
    if scores.shape[1] > 1:
        return scores.max(dim=1).indices.to(torch.uint8)  # argmax takes five times as long on the CPU
    probs = scores if config.average == "probs" else scores.sigmoid()
    return (probs[:, 0] >= config.threshold).to(torch.uint8)


def decided_and_sure(scores: Tensor, config: InferenceConfig) -> Tensor:
    """(N, K, H, W) scores to (N, H, W, 2) float32: class id, and the probability of what was decided."""
    classes = decided(scores, config)
    if scores.shape[1] == 1:
        probs = scores[:, 0] if config.average == "probs" else scores[:, 0].sigmoid()
        sure = torch.where(classes == 1, probs, 1 - probs)
    elif config.average == "probs":
        sure = scores.max(dim=1).values
    else:
        sure = (scores.max(dim=1).values - scores.logsumexp(dim=1)).exp()
    return torch.stack([classes.float(), sure.float()], dim=3)
