"""One step: parts add up to the whole, ignored batches are harmless, gradients are clipped as one."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from segkit.config.batch_transforms import ClassMixConfig, CutMixConfig, MixUpConfig
from segkit.config.training import AmpConfig, SGDConfig, TrainerConfig
from segkit.data.batch_transforms.base import BatchMixer
from segkit.engine.amp import Precision
from segkit.engine.step import TrainModel, TrainStep
from segkit.engine.watch import Watch
from segkit.losses.criterion import Criterion
from segkit.ops import rows
from segkit.optim.optimizers import make_optimizer
from segkit.registry import BATCH_TRANSFORMS, LOSSES
from segkit.types import IGNORE_INDEX, Batch, StepInfo

CPU = torch.device("cpu")
CLASSES = 3


class Segmentor(nn.Module):
    """Without batch statistics, so that each image stands alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, CLASSES, 1))

    def outputs(self, images: Tensor, step: StepInfo) -> dict[str, Tensor]:
        logits = self.layers(images)
        return {"main": logits, "aux": logits[:, :, ::2, ::2]}


class Preprocess(nn.Module):
    def forward(self, images: Tensor, boxes: Tensor) -> Tensor:
        return images.float() / 255


def make_step(amp: AmpConfig | None = None, **options: Any) -> TrainStep:
    torch.manual_seed(0)
    precision = Precision(amp or AmpConfig(), CPU)
    loss = LOSSES.build(LOSSES.config("CrossEntropyLoss")(), CLASSES)
    criterion = Criterion({"main": {"loss": loss}, "aux": {"loss": loss}}, {"main": 1.0, "aux": 0.4}, False)
    model = TrainModel(Segmentor(), criterion, precision)  # type: ignore[arg-type]
    optimizer = make_optimizer(SGDConfig(lr=0.1), model)
    return TrainStep(model, Preprocess(), optimizer, precision, TrainerConfig(**options), CPU)


def batch(size: int = 8, seed: int = 0) -> Batch:
    """Labels are ignored in a share of the pixels that differs from image to image."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (size, 3, 8, 10), generator=rng, dtype=torch.uint8)
    masks = torch.randint(0, CLASSES, (size, 8, 10), generator=rng, dtype=torch.uint8)
    for index in range(size):
        masks[index, :index] = IGNORE_INDEX
    boxes = torch.tensor([[0, 0, 8, 10]]).repeat(size, 1)
    return Batch(images, masks, boxes, [f"sample{i}" for i in range(size)], [(8, 10)] * size)


def parts(whole: Batch, count: int) -> list[Batch]:
    chunks = [torch.arange(len(whole.names)).chunk(count)[i].tolist() for i in range(count)]
    assert whole.masks is not None
    return [
        replace(whole, images=whole.images[i], masks=whole.masks[i], boxes=whole.boxes[i], names=["x"] * len(i))
        for i in chunks
    ]


def weights(step: TrainStep) -> list[Tensor]:
    return [p.detach().clone() for p in step.model.parameters()]


@pytest.mark.parametrize("count", [2, 4, 8])
def test_parts_add_up_to_the_whole(count: int) -> None:
    whole, split = make_step(), make_step()
    for seed in range(5):
        terms = whole([batch(seed=seed)]).terms
        in_parts = split(parts(batch(seed=seed), count)).terms
        assert terms.keys() == in_parts.keys() == {"main.loss", "aux.loss"}
        torch.testing.assert_close(terms, in_parts, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights(whole), weights(split), rtol=1e-5, atol=1e-6)


MIXES = {
    "MixUp": [MixUpConfig(prob=1.0, alpha=1.0)],
    "all": [CutMixConfig(prob=0.7), ClassMixConfig(prob=0.7), MixUpConfig(prob=0.7)],
}


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("count", [2, 4])
def test_parts_of_mixed_batches_add_up_to_the_whole(mix: str, count: int) -> None:
    whole, split, plain = make_step(), make_step(), make_step()
    for step in (whole, split):
        step.mixer = BatchMixer([BATCH_TRANSFORMS.build(config) for config in MIXES[mix]], seed=3)
    for position in range(5):
        terms = whole([batch(seed=position)], position=position).terms
        in_parts = split(parts(batch(seed=position), count), position=position).terms
        torch.testing.assert_close(terms, in_parts, rtol=1e-5, atol=1e-6)
        plain([batch(seed=position)])
    torch.testing.assert_close(weights(whole), weights(split), rtol=1e-5, atol=1e-6)
    assert not torch.equal(weights(whole)[0], weights(plain)[0])


def test_a_mean_weighs_the_losses_of_both_labels() -> None:
    step = make_step()
    model = step.model
    images, target = torch.rand(2, 3, 8, 10), batch(2).masks.long()  # type: ignore[union-attr]
    own, other = model(images, target), model(images, target.flip(0))
    both = model(images, target, 1, 0.0, None, torch.tensor(0.3))
    for name, term in both.items():
        torch.testing.assert_close(term, 0.3 * own[name] + 0.7 * other[name])


@pytest.mark.parametrize("count", [1, 2])
def test_a_batch_without_labels_changes_nothing(count: int) -> None:
    step = make_step()
    ignored = batch()
    assert ignored.masks is not None
    ignored.masks.fill_(IGNORE_INDEX)
    before = weights(step)
    outcome = step(parts(ignored, count))
    assert all(term == 0 for term in outcome.terms.values())
    torch.testing.assert_close(weights(step), before, rtol=0, atol=0)
    assert all(p.grad is not None for p in step.model.parameters())


def test_gradients_are_clipped_as_one() -> None:
    free, clipped = make_step(), make_step(clip_grad_norm=0.05)
    norm = clipped([batch()]).grad_norm
    free([batch()])
    gradients = [p.grad for p in free.model.parameters() if p.grad is not None]
    assert norm is not None
    torch.testing.assert_close(norm, get_total_norm(gradients))
    assert norm > 0.05
    scaled = [g * (0.05 / norm) for g in gradients]
    torch.testing.assert_close([p.grad for p in clipped.model.parameters()], scaled, rtol=1e-4, atol=1e-7)


def spoil(step: TrainStep) -> None:
    """Makes the next gradients infinite."""
    parameter = next(step.model.parameters())
    parameter.register_hook(lambda g: g * float("inf"))


def test_a_bad_gradient_is_skipped_if_configured() -> None:
    step = make_step(non_finite="skip")
    step([batch()])
    before = weights(step)
    spoil(step)
    assert step([batch(seed=1)]).skipped
    torch.testing.assert_close(weights(step), before, rtol=0, atol=0)


def test_float16_scales_the_loss_and_finds_its_scale() -> None:
    step = make_step(AmpConfig(enabled=True, dtype="float16", init_scale=2.0**16), clip_grad_norm=0.05)
    plain = make_step(clip_grad_norm=0.05)
    for seed in range(3):
        outcome, reference = step([batch(seed=seed)]), plain([batch(seed=seed)])
        assert outcome.grad_norm is not None
        assert reference.grad_norm is not None
        # Clipped after unscaling: the norm is that of the true gradients.
        torch.testing.assert_close(outcome.grad_norm, reference.grad_norm, rtol=2e-2, atol=0)
    torch.testing.assert_close(weights(step), weights(plain), rtol=0, atol=2e-3)
    spoil(step)
    before = weights(step)
    step([batch(seed=4)])
    torch.testing.assert_close(weights(step), before, rtol=0, atol=0)
    assert step.precision.scaler.get_scale() == 2.0**15


def test_bfloat16_losses_stay_in_float32() -> None:
    terms = make_step(AmpConfig(enabled=True))([batch()]).terms
    assert all(term.dtype == torch.float32 for term in terms.values())


def test_the_watch_tells_terms_norm_and_blame() -> None:
    watch = Watch(CPU)
    step = make_step(clip_grad_norm=1.0)
    watch.post(1, step([batch()]), stop=False, names=["a", "b"])
    (report,) = watch.ready()
    assert report.loss == pytest.approx(sum(report.terms.values()))
    assert (report.step, report.stop, report.bad_names) == (1, False, None)
    assert report.grad_norm is not None
    with torch.no_grad():
        next(step.model.parameters()).fill_(float("nan"))
    watch.post(2, step([batch()]), stop=True, names=["a", "b"])
    (report,) = watch.all()
    assert report.stop
    assert report.bad_names == ["a", "b"]
    assert watch.all() == []


def test_a_compiled_network_trains_alike_with_losses_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rows.BAND_BYTES, "cpu", 1)  # a row at a time
    plain, compiled = make_step(), make_step()
    assert isinstance(compiled.model, TrainModel)
    compiled.model.compile_network(backend="aot_eager")
    for number in range(2):
        outcomes = [step([batch(seed=number)]) for step in (plain, compiled)]
        torch.testing.assert_close(outcomes[0].terms, outcomes[1].terms)
    torch.testing.assert_close(weights(plain), weights(compiled))
