"""Mixed batches: pixels stay with their labels, losses weigh both, and processes, parts and resumes change nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.config.batch_transforms import ClassMixConfig, CutMixConfig, MixUpConfig
from segkit.data.batch_transforms.base import BatchMixer, Mixture, neighbours
from segkit.errors import ConfigError
from segkit.registry import BATCH_TRANSFORMS
from segkit.types import IGNORE_INDEX

PASTING = [CutMixConfig(prob=1.0), ClassMixConfig(prob=1.0)]
EVERY = [*PASTING, MixUpConfig(prob=1.0, alpha=1.0)]
named = {"ids": lambda config: config.type}


def labels(count: int = 4, seed: int = 0) -> Tensor:
    """Blocks of classes, no class in two images, a tenth of the pixels ignored."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 6, (count, 5, 6)).repeat(4, axis=1).repeat(4, axis=2)
    blocks += 6 * np.arange(count)[:, None, None]
    blocks[rng.random(blocks.shape) < 0.1] = IGNORE_INDEX
    return torch.from_numpy(blocks)


def pixels(target: Tensor) -> Tensor:
    """Images that tell where each pixel came from: (N, 2, H, W) of image number and place."""
    count, height, width = target.shape
    number = torch.arange(count).view(-1, 1, 1).expand_as(target)
    place = torch.arange(height * width).view(1, height, width).expand_as(target)
    return torch.stack([number, place], dim=1).float()


def mixer(*configs: Any, **options: int) -> BatchMixer:
    return BatchMixer([BATCH_TRANSFORMS.build(config) for config in configs], seed=7, **options)


def mix(configs: Sequence[Any], target: Tensor, step: int) -> tuple[Mixture, Tensor]:
    mixture = mixer(*configs)(target, step=step)
    return mixture, mixture.images(pixels(target))


@pytest.mark.parametrize("config", PASTING, **named)
def test_each_pixel_brings_its_label(config: Any) -> None:
    target = labels()
    foreign = []
    for step in range(30):
        mixture, images = mix([config, config], target, step)
        number, place = images.long().unbind(1)
        assert torch.equal(place, pixels(target)[:, 1].long())
        assert torch.equal(mixture.target, target.flatten(1)[number, place])
        own = torch.arange(4).view(-1, 1, 1)
        assert ((number == own) | (number == own ^ 1)).all()
        foreign.append((number != own).float().mean().item())
        assert mixture.share is None
    assert 0.1 < np.mean(foreign) < 0.7
    assert len(set(foreign)) > 10


def test_a_rectangle_has_the_drawn_area() -> None:
    target = torch.zeros(2, 200, 300, dtype=torch.long)
    kept = []
    for step in range(60):
        _, images = mix([CutMixConfig(prob=1.0, alpha=1.0)], target, step)
        changed = images[0, 0] == 1
        rows, cols = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
        if len(rows):
            assert changed[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].all()
        kept.append(1 - changed.float().mean().item())
    assert np.mean(kept) == pytest.approx(0.65, abs=0.1)  # half, and what lies over the border
    assert min(kept) < 0.3


def test_classes_are_pasted_whole_and_half_of_them() -> None:
    target = labels(2)
    for step in range(20):
        _, images = mix([ClassMixConfig(prob=1.0)], target, step)
        for image in range(2):
            foreign = images[image, 0].long() != image
            other = target[1 - image]
            taken = set(other[foreign].tolist())
            assert IGNORE_INDEX not in taken
            assert len(taken) == len(set(other.flatten().tolist()) - {IGNORE_INDEX}) // 2
            assert torch.equal(foreign, torch.isin(other, torch.tensor(sorted(taken))))


def test_a_mean_has_one_weight_for_the_whole_step() -> None:
    target = labels()
    shares = set()
    for step in range(20):
        mixture, images = mix([MixUpConfig(prob=1.0, alpha=0.4)], target, step)
        assert mixture.share is not None
        shares.add(round(mixture.share, 6))
        wanted = mixture.share * pixels(target) + (1 - mixture.share) * neighbours(pixels(target))
        torch.testing.assert_close(images, wanted)
        assert torch.equal(mixture.target, target)
    assert len(shares) == 20


@pytest.mark.parametrize("config", EVERY, **named)
def test_processes_and_parts_change_nothing(config: Any) -> None:
    target = labels(8)
    images = pixels(target)
    for step in (0, 5):
        whole = mixer(config)(target, step=step)
        for world_size, parts in ((2, 1), (1, 2), (2, 2), (4, 1)):
            size = 8 // (world_size * parts)
            for part in range(parts):
                for rank in range(world_size):
                    first = (part * world_size + rank) * size
                    here = slice(first, first + size)
                    own = mixer(config, rank=rank, world_size=world_size)(target[here], step=step, part=part)
                    assert torch.equal(own.target, whole.target[here])
                    assert torch.equal(own.images(images[here]), whole.images(images)[here])
                    assert own.share == whole.share


@pytest.mark.parametrize("config", [type(c)(prob=0.0) for c in EVERY], **named)
def test_what_never_happens_changes_nothing(config: Any) -> None:
    mixture, images = mix([config], labels(), 3)
    assert torch.equal(mixture.target, labels())
    assert torch.equal(images, pixels(labels()))
    assert mixture.share is None


def test_some_images_are_left_alone() -> None:
    touched = [
        (mix([config], labels(), step)[1][:, 0] != pixels(labels())[:, 0]).flatten(1).any(1)
        for config in (CutMixConfig(prob=0.5), ClassMixConfig(prob=0.5))
        for step in range(50)
    ]
    assert 0.35 < torch.cat(touched).float().mean() < 0.6


def test_the_memory_order_stays() -> None:
    images = pixels(labels()).to(memory_format=torch.channels_last)
    for config in EVERY:
        mixed = mixer(config)(labels(), step=0).images(images)
        assert mixed.is_contiguous(memory_format=torch.channels_last)


def test_an_odd_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.batch_transforms: .*even number.*\(got 3\)"):
        mixer(CutMixConfig())(labels(3), step=0)
    assert mixer()(labels(3), step=0).target.shape[0] == 3


def test_the_loss_of_a_mean_is_that_of_soft_labels() -> None:
    """Where no pixel is ignored, weighing two cross entropies is the cross entropy of the mixed one-hot labels."""
    target = torch.randint(0, 5, (2, 6, 7), generator=torch.Generator().manual_seed(0))
    logits = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(1))
    share = 0.3
    soft = share * F.one_hot(target, 5) + (1 - share) * F.one_hot(neighbours(target), 5)
    wanted = F.cross_entropy(logits, soft.movedim(-1, 1).float())
    ours = share * F.cross_entropy(logits, target) + (1 - share) * F.cross_entropy(logits, neighbours(target))
    torch.testing.assert_close(ours, wanted)
