"""What heads keep of the classes from step to step."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.build import build_criterion, build_segmentor
from segkit.checkpoint import load_weights, read_checkpoint, write_checkpoint
from segkit.config.backbones import ResNetConfig
from segkit.config.component import to_plain
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.heads import IDRNetConfig, MCIBIConfig, MCIBIPlusPlusConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.models.heads.idrnet import IDRNet, _moved
from segkit.models.heads.mcibi import MCIBI
from segkit.registry import HEADS
from segkit.types import IGNORE_INDEX, FeatureSpec, StepInfo

SPECS = (FeatureSpec(6, 4), FeatureSpec(8, 8))
WITH_MEMORY = ("IDRNet", "MCIBI", "MCIBIPlusPlus")
every_memory = pytest.mark.parametrize("name", WITH_MEMORY)


def build(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    options = {"channels": 8, "attention_channels": 4, "dropout": 0.0} | options
    if name.startswith("MCIBI"):
        options |= {"out_channels": 8}
    return HEADS.build(HEADS.config(name)(**options), SPECS, 4)


def maps() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3, 6, 12, 16, generator=generator), torch.randn(3, 8, 6, 8, generator=generator)]


def step(**facts: Any) -> StepInfo:
    """Labels of all classes but 3."""
    target = torch.randint(0, 3, (3, 24, 32), generator=torch.Generator().manual_seed(2))
    target[:, :5] = IGNORE_INDEX
    return StepInfo(target, **facts)


def memories(head: Any) -> dict[str, Tensor]:
    """Buffers but for those of normalisation."""
    names = [name for name, _ in head.named_buffers() if "running" not in name and "tracked" not in name]
    return {name: head.get_buffer(name).clone() for name in names if name in head.state_dict()}


@every_memory
def test_only_training_steps_change_it(name: str) -> None:
    head = build(name).train()
    before = memories(head)
    head(maps())
    head.outputs(maps())
    torch.testing.assert_close(memories(head), before, rtol=0, atol=0)
    head.learn(maps(), step(learning_rate=0.005))
    assert all(not torch.equal(value, before[key]) for key, value in memories(head).items())


@every_memory
def test_learning_gives_the_logits_before_it_and_gradients(name: str) -> None:
    head = build(name).eval()
    before = head.outputs(maps())
    outputs = head.learn(maps(), step(learning_rate=0.009))
    torch.testing.assert_close(outputs, before)
    sum(x.square().mean() for x in outputs.values()).backward()  # what was read is not what was written


@every_memory
def test_classes_that_are_absent_are_kept(name: str) -> None:
    head = build(name).eval()
    for p in head.buffers():
        if p.is_floating_point():
            p.add_(0.5)
    before = memories(head)
    head.learn(maps(), step(learning_rate=0.009))
    for key, value in memories(head).items():
        columns = key.startswith("relation")
        where = (slice(None), 3) if columns else 3
        if key != "times_left_out":
            assert torch.equal(value[where], before[key][where])


@every_memory
def test_a_checkpoint_holds_it(name: str, tmp_path: Path) -> None:
    head = HEADS.config(name)(channels=8)
    config = SegmentorConfig(
        dataset=FolderDatasetConfig(class_names=("a", "b", "c")),
        backbone=ResNetConfig(depth=18, output_stride=32, base_channels=8),
        head=head,
    )
    model = build_segmentor(config)
    target = torch.randint(0, 3, (2, 64, 64))
    outputs = model.outputs(torch.randn(2, 3, 64, 64), StepInfo(target, 2, 0.01))
    assert all(x.isfinite() for x in build_criterion(config)(outputs, target).values())
    payload = {
        "config": to_plain(config),
        "classes": ["a", "b", "c"],
        "palette": [[0, 0, 0]] * 3,
        "model": model.state_dict(),
    }
    write_checkpoint(tmp_path / "x.pt", payload)
    other = build_segmentor(config)
    load_weights(other, read_checkpoint(tmp_path / "x.pt")["model"], "x.pt")
    assert memories(model.head)
    torch.testing.assert_close(memories(other.head), memories(model.head), rtol=0, atol=0)


def slow_mcibi(head: MCIBI, pixels: Tensor, info: StepInfo, momentum: float) -> Tensor:
    """The rule, class by class, on features that are resized in full."""
    config, memory = head.config, head.memory.clone()
    features = F.interpolate(pixels, info.target.shape[-2:], mode="bilinear", align_corners=config.align_corners)
    features = features.movedim(1, -1)
    for label in info.target.unique().tolist():
        if label == IGNORE_INDEX:
            continue
        own, slots = features[info.target == label], memory[label]
        empty = [i for i in range(len(slots)) if not slots[i].any()]
        if empty:
            slots[empty[0]] = own.mean(0)
            continue
        likeness = F.cosine_similarity(own[:, None], slots[None], dim=2)  # (n, S)
        choice, old = likeness.argmax(1), slots.clone()
        for i in range(len(slots)):
            weights = (choice == i).float()
            if config.update == "cosine_similarity":
                weights = weights * (1 - likeness[:, i])
            mean = (weights[:, None] * own).sum(0) / weights.sum().clamp(min=1e-8)
            slots[i] = (1 - momentum) * old[i] + momentum * mean
    return memory


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("update", ["cosine_similarity", "mean"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_mcibi_moves_by_its_rule(slots: int, update: str, align_corners: bool) -> None:
    head = build("MCIBI", slots=slots, update=update, align_corners=align_corners).eval()
    for number in range(slots + 2):  # first one slot is filled after the other
        info = step(learning_rate=0.003)
        pixels = torch.randn(3, 8, 6, 8, generator=torch.Generator().manual_seed(number))
        expected = slow_mcibi(head, pixels, info, momentum=0.3)
        head.remember(pixels, info)
        torch.testing.assert_close(head.memory, expected, rtol=1e-4, atol=1e-5)


def test_the_momentum_follows_the_learning_rate() -> None:
    assert MCIBIConfig(momentum=0.9, base_lr=0.01).momentum_at(0.005) == pytest.approx(0.45)
    assert MCIBIPlusPlusConfig(momentum=0.1).momentum_at(0.005) == 0.1
    with pytest.raises(ValueError, match="needs base_lr"):
        MCIBIConfig(base_lr=None)


def test_the_memory_s_vectors_are_classified_from_the_second_epoch_on() -> None:
    head = build("MCIBI", memory_loss=True, memory_weight=2.0)
    criterion = MCIBI.own_criterion(head.config, 4)
    assert criterion is not None
    first = head.learn(maps(), step(epoch=1, learning_rate=0.009))
    assert criterion(first, step().target)["memory.loss"] == 0
    second = head.learn(maps(), step(epoch=2, learning_rate=0.009))
    assert second["memory"].shape == (4, 4, 1, 1)
    expected = 2 * F.cross_entropy(second["memory"].flatten(1), torch.arange(4))
    torch.testing.assert_close(criterion(second, step().target)["memory.loss"], expected)


def test_mcibiplusplus_keeps_moments_of_mean_features() -> None:
    head, info = build("MCIBIPlusPlus", momentum=1.0).eval(), step()
    pixels = head.reduce(maps()[-1])
    head.learn(maps(), info)
    features = F.interpolate(pixels, (24, 32), mode="bilinear").movedim(1, -1)
    for label in range(3):
        mean = features[info.target == label].mean(0)
        expected = torch.stack([mean.mean(), mean.std()])
        torch.testing.assert_close(head.memory.moments[label], expected, rtol=1e-4, atol=1e-5)


def test_mcibiplusplus_leaves_the_generator_alone() -> None:
    head = build("MCIBIPlusPlus").eval()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    head.learn(maps(), step())
    assert torch.equal(torch.rand(3), expected)


def test_warming_up_reads_the_memory_by_the_labels() -> None:
    head = build("MCIBIPlusPlus", warmup_epochs=2, hard=True).eval()
    head.memory.moments.copy_(torch.randn(4, 2))
    early, late = (head.learn(maps(), step(epoch=epoch))["main"] for epoch in (1, 2))
    assert not torch.allclose(early, late)


def test_moves_of_several_images_are_those_of_one_after_the_other() -> None:
    generator = torch.Generator().manual_seed(3)
    old, new = torch.randn(3, 3, generator=generator), torch.randn(5, 3, 3, generator=generator)
    hits = torch.randint(0, 2, (5, 3, 3), generator=generator).float()
    expected = old.clone()
    for value, hit in zip(new, hits, strict=True):
        expected = torch.where(hit > 0, expected.lerp(value, 0.1), expected)
    torch.testing.assert_close(_moved(old, new, hits, 0.1), expected)


def test_idrnet_chooses_the_classes_that_it_chose_least() -> None:
    head: IDRNet = build("IDRNet")
    present = torch.tensor([[True, True, False, False]] * 4)
    head.draw = lambda count, device: torch.linspace(0.1, 0.9, count, dtype=torch.float64)  # type: ignore[method-assign]
    # The second would take class 0, were class 1 not a million times likelier; the last two weigh 1:1 and 2:1.
    assert head._choose(present).tolist() == [0, 1, 1, 1]
    torch.testing.assert_close(head.times_left_out, torch.tensor([1.0, 3.0, 0.0, 0.0]), rtol=0, atol=1e-5)


def test_leaving_classes_out_keeps_running_statistics_and_dropped_channels() -> None:
    head: IDRNet = build("IDRNet", dropout=0.5).train()
    momenta = [m.momentum for m in head.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    other: IDRNet = build("IDRNet", dropout=0.5).train()
    torch.manual_seed(4)
    head.learn(maps(), step())
    torch.manual_seed(4)
    other.outputs(maps())
    for (name, a), b in zip(head.named_buffers(), other.buffers(), strict=True):
        if "running" in name:
            torch.testing.assert_close(a, b)
    assert [m.momentum for m in head.modules() if isinstance(m, torch.nn.BatchNorm2d)] == momenta


def test_an_image_of_one_class_has_nothing_left() -> None:
    head = build("IDRNet").eval()
    head.coarse.classify[1].bias.data[2] = 100.0
    assert head.learn(maps(), step())["main"].isfinite().all()
    assert all(x.isfinite().all() for x in memories(head).values())


def test_idrnet_needs_no_pyramid_to_have_one() -> None:
    config = IDRNetConfig(channels=8, context="ppm", pyramid_channels=8, pyramid_out_channels=4, refine_before=True)
    for first in (False, True):
        head = build("IDRNet", **(to_plain(config) | {"pyramid_first": first, "neck": None, "type": "IDRNet"}))
        assert head.eval().learn(maps(), step())["main"].shape == (3, 4, 12, 16)
