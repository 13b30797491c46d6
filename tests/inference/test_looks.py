"""Ways of looking that must agree."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from segkit.config.inference import InferenceConfig, TTAConfig
from segkit.errors import ConfigError
from segkit.inference import predict_batch, predict_classes, predict_probs, predict_scores, slide
from segkit.ops.rows import BAND_BYTES

WHOLE = InferenceConfig()
SLIDE = InferenceConfig(mode="slide", crop_size=(16, 24), stride=(11, 16))
MANY = TTAConfig(scales=(0.75, 1.0, 1.5), flip=True, swaps=((0, 2),))
every_config = pytest.mark.parametrize(
    "config",
    [
        WHOLE,
        SLIDE,
        replace(WHOLE, average="probs"),
        replace(SLIDE, average="probs"),
        replace(WHOLE, tta=MANY),
        replace(SLIDE, tta=MANY, average="probs"),
    ],
    ids=["whole", "slide", "whole-probs", "slide-probs", "whole-tta", "slide-tta-probs"],
)


def test_whole_scores_are_the_resized_logits(toy: Callable, images: Tensor) -> None:
    model = toy(stride=4)
    expected = torch.nn.functional.interpolate(model(images), (37, 50), mode="bilinear")
    torch.testing.assert_close(predict_scores(model, images, WHOLE), expected)


@pytest.mark.parametrize(("stride", "average"), [(1, "logits"), (4, "logits"), (1, "probs")])
def test_one_window_over_all_is_the_whole_image(toy: Callable, images: Tensor, stride: int, average: str) -> None:
    # Not (4, "probs"): the whole image takes the probabilities before the resize, a window after it.
    model = toy(stride=stride)
    whole = replace(WHOLE, average=average)
    one = replace(whole, mode="slide", crop_size=(37, 50), stride=(37, 50))
    torch.testing.assert_close(predict_scores(model, images, one), predict_scores(model, images, whole))
    larger = replace(one, crop_size=(100, 100))
    torch.testing.assert_close(predict_scores(model, images, larger), predict_scores(model, images, whole))


def test_windows_of_a_pointwise_model_are_seamless(toy: Callable, images: Tensor) -> None:
    model = toy(kernel=1)
    torch.testing.assert_close(predict_scores(model, images, SLIDE), predict_scores(model, images, WHOLE))


@pytest.mark.parametrize("window_batch", [1, 2, 3, 7, 100])
def test_how_windows_are_batched_changes_nothing(toy: Callable, images: Tensor, window_batch: int) -> None:
    model = toy(stride=2)
    expected = predict_scores(model, images, replace(SLIDE, window_batch=2))
    model.batches.clear()
    scores = predict_scores(model, images, replace(SLIDE, window_batch=window_batch))
    torch.testing.assert_close(scores, expected)
    assert max(model.batches) <= max(window_batch, len(images))
    assert sum(model.batches) == len(images) * 3 * 3


@every_config
@pytest.mark.parametrize("canvas_bytes", [1, 2 * 4 * 50 * 4 * 20])
def test_a_small_canvas_gives_the_bits_of_a_large_one(
    toy: Callable, images: Tensor, config: InferenceConfig, canvas_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = predict_scores(toy(stride=2), images, config)
    monkeypatch.setattr(slide, "CANVAS_BYTES", canvas_bytes)
    assert torch.equal(predict_scores(toy(stride=2), images, config), expected)


@every_config
@pytest.mark.parametrize("rows", [1, 7, 30])
@pytest.mark.parametrize("num_classes", [1, 4])
def test_classes_by_blocks_are_those_of_all_scores(
    toy: Callable, images: Tensor, config: InferenceConfig, rows: int, num_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if num_classes == 1:
        config = replace(config, tta=replace(config.tta, swaps=()))
    model = toy(stride=4, num_classes=num_classes)
    scores = predict_scores(model, images, config, size=(61, 80))
    monkeypatch.setitem(BAND_BYTES, "cpu", 4 * rows * 80 * num_classes * 2)
    classes = predict_classes(model, images, config, size=(61, 80))
    if num_classes > 1:
        expected = scores.argmax(dim=1)
    else:
        expected = (scores[:, 0] >= (0.5 if config.average == "probs" else 0.0)).long()
    assert torch.equal(classes.long(), expected)
    assert len(expected.unique()) > 1


def test_rows_go_through_the_model_once(toy: Callable, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BAND_BYTES, "cpu", 1)
    monkeypatch.setattr(slide, "CANVAS_BYTES", 1)
    model = toy()
    predict_classes(model, images, SLIDE)
    assert sum(model.batches) == len(images) * 3 * 3


@pytest.mark.parametrize("mode", [WHOLE, SLIDE])
def test_tta_of_one_plain_look_is_plain(toy: Callable, images: Tensor, mode: InferenceConfig) -> None:
    model = toy(stride=2)
    twice = replace(mode, tta=TTAConfig(scales=(1.0, 1.0)))
    assert torch.equal(predict_scores(model, images, twice), predict_scores(model, images, mode))


def test_a_mirrored_image_gives_the_mirrored_result(toy: Callable, images: Tensor) -> None:
    config = replace(WHOLE, tta=TTAConfig(flip=True))
    model = toy()
    turned = predict_scores(model, images.flip(-1), config).flip(-1)
    torch.testing.assert_close(turned, predict_scores(model, images, config))


def test_mirrored_classes_are_swapped_back(toy: Callable, images: Tensor) -> None:
    model = toy()
    plain = predict_scores(model, images, WHOLE)
    mirrored = predict_scores(model, images.flip(-1), WHOLE).flip(-1)[:, [2, 1, 0, 3]]
    both = predict_scores(model, images, replace(WHOLE, tta=TTAConfig(flip=True, swaps=((0, 2),))))
    torch.testing.assert_close(both, (plain + mirrored) / 2)


@every_config
@pytest.mark.parametrize("num_classes", [1, 4])
def test_probs_are_probabilities_and_decide_the_class(
    toy: Callable, images: Tensor, config: InferenceConfig, num_classes: int
) -> None:
    if num_classes == 1:
        config = replace(config, tta=replace(config.tta, swaps=()))
    model = toy(stride=2, num_classes=num_classes)
    probs = predict_probs(model, images, config)
    classes = predict_classes(model, images, config)
    if num_classes > 1:
        torch.testing.assert_close(probs.sum(dim=1), torch.ones(2, 37, 50))
        assert torch.equal(probs.argmax(dim=1), classes.long())
    else:
        assert ((probs > 0) & (probs < 1)).all()
        assert torch.equal((probs[:, 0] >= 0.5).to(torch.uint8), classes)


def test_the_threshold_decides_for_a_single_class(toy: Callable, images: Tensor) -> None:
    model = toy(num_classes=1)
    probs = predict_probs(model, images, WHOLE)[:, 0]
    config = replace(WHOLE, threshold=0.7)
    assert torch.equal(predict_classes(model, images, config), (probs >= 0.7).to(torch.uint8))


def test_a_batch_comes_out_at_its_images_own_sizes(toy: Callable, images: Tensor) -> None:
    model = toy(stride=2)
    sizes = [(40, 60), (20, 21)]
    masks = predict_batch(model, images, WHOLE, sizes=sizes)
    for image, mask, size in zip(images, masks, sizes, strict=True):
        assert torch.equal(mask, predict_classes(model, image[None], WHOLE, size=size)[0])


def test_padding_is_cut_off(toy: Callable, images: Tensor) -> None:
    model = toy(kernel=1)
    padded = torch.nn.functional.pad(images, (4, 6, 3, 2))
    boxes = torch.tensor([[3, 4, 37, 50]] * 2)
    masks = predict_batch(model, padded, WHOLE, sizes=[(37, 50)] * 2, boxes=boxes)
    assert torch.equal(torch.stack(masks), predict_classes(model, images, WHOLE))


def test_half_precision_logits_are_averaged_in_float32(toy: Callable, images: Tensor) -> None:
    model = toy(stride=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = predict_scores(model, images, replace(SLIDE, tta=MANY))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, predict_scores(model, images, replace(SLIDE, tta=MANY)), atol=0.03, rtol=0.03)


def test_windows_without_a_size_are_refused(toy: Callable, images: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"inference.crop_size: slide.*\ninference.stride: slide"):
        predict_scores(toy(), images, InferenceConfig(mode="slide"))
