"""Windows at a time: as told, as memory allows, and fewer where it ends."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from segkit.config.inference import InferenceConfig
from segkit.errors import SegkitError
from segkit.inference import predict_scores
from segkit.inference.batches import WindowBatch, fitting

SLIDE = InferenceConfig(mode="slide", crop_size=(16, 24), stride=(11, 16), window_batch=8)


class Small(nn.Module):
    """A model whose memory holds so many windows."""

    def __init__(self, model: nn.Module, holds: int, error: type[Exception]) -> None:
        super().__init__()
        self.model, self.holds, self.error = model, holds, error
        self.align_corners = False
        self.tried: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.tried.append(len(images))
        if len(images) > self.holds:
            raise self.error("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return self.model(images)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
@pytest.mark.parametrize("holds", [1, 3])
def test_fewer_windows_are_taken_where_memory_ends(
    toy: Callable, images: Tensor, holds: int, error: type[Exception]
) -> None:
    expected = predict_scores(toy(stride=2), images, SLIDE)
    model = Small(toy(stride=2), holds, error)
    torch.testing.assert_close(predict_scores(model, images, SLIDE), expected)
    limit = 2 if holds == 3 else 1
    assert model.tried[-1] <= limit
    model.tried.clear()
    predict_scores(model, images, SLIDE)
    assert max(model.tried) == limit  # what was found out is kept


def test_a_window_that_is_too_large_is_told_as_such(toy: Callable, images: Tensor) -> None:
    with pytest.raises(SegkitError, match=r"16 x 24 pixels .* memory of cpu; use .* smaller inference.crop_size"):
        predict_scores(Small(toy(), 0, torch.OutOfMemoryError), images, SLIDE)


def test_other_errors_are_not_taken_for_a_lack_of_memory(toy: Callable, images: Tensor) -> None:
    class Broken(Small):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        predict_scores(Broken(toy(), 1, RuntimeError), images, SLIDE)


def test_auto_takes_as_many_as_fill_the_device(toy: Callable, images: Tensor) -> None:
    automatic = replace(SLIDE, window_batch="auto")
    torch.testing.assert_close(predict_scores(toy(), images, automatic), predict_scores(toy(), images, SLIDE))
    assert WindowBatch(toy(), "auto", torch.zeros(1, 3, 512, 512), lambda x: x).limit == 1
    assert WindowBatch(toy(), "auto", torch.zeros(1, 3, 128, 256), lambda x: x).limit == 8
    assert WindowBatch(toy(), "auto", torch.zeros(1, 3, 2048, 2048), lambda x: x).limit == 1


@pytest.mark.parametrize(
    ("free", "needed", "pixels", "windows"),
    [(10**9, 10**8, 512**2, 7), (10**12, 10**8, 512**2, 16), (10**7, 10**8, 512**2, 1), (10**9, 0, 4096**2, 1)],
)
def test_a_batch_fits_into_the_free_memory(free: int, needed: int, pixels: int, windows: int) -> None:
    assert fitting(free, needed, pixels) == windows


@pytest.mark.gpu
def test_auto_goes_by_the_memory_of_the_gpu(toy: Callable, images: Tensor) -> None:
    model, automatic = toy(stride=2).cuda(), replace(SLIDE, window_batch="auto")
    scores = predict_scores(model, images.cuda(), automatic)
    torch.testing.assert_close(scores.cpu(), predict_scores(toy(stride=2), images, SLIDE), rtol=1e-3, atol=1e-3)
    assert max(model.batches) > 1


@pytest.mark.parametrize("blend", ["gaussian", "hann"])
def test_blended_windows_are_the_weighted_mean(toy: Callable, images: Tensor, blend: str) -> None:
    from segkit.ops.windows import window_profile, windows

    model = toy(stride=2)
    sums, weights = torch.zeros(2, 4, 37, 50), torch.zeros(37, 50)
    weight = window_profile(16, blend)[:, None] * window_profile(24, blend)
    for w in windows((37, 50), (16, 24), (11, 16)):
        inside = (..., slice(w.top, w.bottom), slice(w.left, w.right))
        logits = model(images[inside])
        sums[inside] += weight * nn.functional.interpolate(logits, (16, 24), mode="bilinear")
        weights[inside] += weight
    found = predict_scores(model, images, replace(SLIDE, blend=blend))
    torch.testing.assert_close(found, sums / weights)
    assert not torch.allclose(found, predict_scores(model, images, SLIDE))


def test_sums_are_float32_whatever_the_model_computes_in(images: Tensor) -> None:
    class Half(nn.Module):
        align_corners = False

        def forward(self, images: Tensor) -> Tensor:
            return torch.full((len(images), 2, *images.shape[2:]), 1001.0).to(torch.bfloat16)  # kept as 1000

    dense = replace(SLIDE, stride=(1, 1), window_batch="auto")  # hundreds of windows over each pixel
    scores = predict_scores(Half(), images, dense)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, torch.full_like(scores, 1000.0), rtol=1e-5, atol=0)
