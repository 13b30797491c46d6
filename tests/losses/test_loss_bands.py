"""Losses summed over bands of rows equal those of the whole, in value and gradient."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkit.config.losses import CrossEntropyLossConfig, DiceLossConfig, FocalLossConfig, LossConfig, OHEMConfig
from segkit.losses import bands
from segkit.losses.criterion import Criterion
from segkit.ops.resize import resize
from segkit.ops.rows import BAND_BYTES
from segkit.registry import LOSSES
from segkit.types import IGNORE_INDEX

WEIGHTS = (0.5, 1.0, 2.0, 1.5)
PIXELWISE: dict[str, LossConfig] = {
    "plain": CrossEntropyLossConfig(),
    "weighted": CrossEntropyLossConfig(class_weights=WEIGHTS, label_smoothing=0.1),
    "weighted by count": CrossEntropyLossConfig(class_weights=WEIGHTS, weighted_mean=False, weight=0.3),
    "sigmoid": CrossEntropyLossConfig(use_sigmoid=True, class_weights=WEIGHTS),
    "flooding": CrossEntropyLossConfig(flooding=2.0),
    "focal": FocalLossConfig(),
    "softmax focal": FocalLossConfig(use_sigmoid=False, class_weights=WEIGHTS),
}


@pytest.fixture(params=[1, 7 * 4 * 2 * 4 * 23])
def band_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A row at a time, and seven: the last band is smaller."""
    monkeypatch.setitem(BAND_BYTES, "cpu", request.param)
    return request.param


def example(classes: int = 4, size: tuple[int, int] = (19, 23)) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 5, 6, generator=draw, requires_grad=True)
    target = torch.randint(0, max(classes, 2), (2, *size), generator=draw)
    target[:, 3:6, :9] = IGNORE_INDEX
    return logits, target


def value_and_gradient(
    config: LossConfig, logits: Tensor, target: Tensor, *, align_corners: bool
) -> tuple[Tensor, Tensor]:
    criterion = Criterion({"main": {"loss": LOSSES.build(config, logits.shape[1])}}, {"main": 1.0}, align_corners)
    logits.grad = None
    loss = criterion({"main": logits}, target)["main.loss"]
    (3 * loss).backward()
    assert logits.grad is not None
    return loss.detach(), logits.grad


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("name", PIXELWISE)
def test_bands_equal_the_whole(
    name: str, align_corners: bool, band_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, target = example()
    assert not bands.fits_in_one_band(logits, target)
    found = value_and_gradient(PIXELWISE[name], logits, target, align_corners=align_corners)
    monkeypatch.setitem(BAND_BYTES, "cpu", 2**30)
    assert bands.fits_in_one_band(logits, target)
    wanted = value_and_gradient(PIXELWISE[name], logits, target, align_corners=align_corners)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


def test_one_class(band_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, target = example(classes=1, size=(40, 46))
    found = value_and_gradient(CrossEntropyLossConfig(), logits, target, align_corners=False)
    monkeypatch.setitem(BAND_BYTES, "cpu", 2**30)
    wanted = value_and_gradient(CrossEntropyLossConfig(), logits, target, align_corners=False)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures("band_bytes")
def test_all_ignored_is_zero_with_zero_gradients() -> None:
    logits, target = example()
    loss, gradient = value_and_gradient(
        CrossEntropyLossConfig(), logits, torch.full_like(target, IGNORE_INDEX), align_corners=False
    )
    assert loss == 0
    assert not gradient.any()


@pytest.mark.usefixtures("band_bytes")
def test_what_no_gradient_reaches_is_only_summed() -> None:
    logits, target = example()
    wanted = F.cross_entropy(resize(logits, (19, 23), align_corners=False), target, ignore_index=IGNORE_INDEX)
    criterion = Criterion({"main": {"ce": LOSSES.build(CrossEntropyLossConfig(), 4)}}, {"main": 1.0}, False)
    with torch.no_grad():
        torch.testing.assert_close(criterion({"main": logits}, target)["main.ce"], wanted.detach())
    frozen = criterion({"main": logits.detach()}, target)["main.ce"]
    torch.testing.assert_close(frozen, wanted.detach())
    assert not frozen.requires_grad


@pytest.mark.usefixtures("band_bytes")
@pytest.mark.parametrize("config", [DiceLossConfig(), CrossEntropyLossConfig(ohem=OHEMConfig(min_kept=50))])
def test_losses_of_all_pixels_together_see_them_together(config: LossConfig) -> None:
    logits, target = example()
    found, _ = value_and_gradient(config, logits, target, align_corners=False)
    loss = LOSSES.build(config, 4)(resize(logits, (19, 23), align_corners=False), target)
    torch.testing.assert_close(found, loss.detach())
