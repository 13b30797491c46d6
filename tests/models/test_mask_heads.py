"""Heads that predict masks or points: truth, matching, losses, refinement."""

from typing import Any

import pytest
import torch
from torch import Tensor

from segkit.config.heads import Mask2FormerConfig, MaskFormerConfig, PointRendConfig
from segkit.config.layers import GroupNormConfig
from segkit.models.heads.base import Head
from segkit.models.heads.masks.scores import class_scores
from segkit.models.heads.masks.truth import matches_of, truths_of
from segkit.models.heads.pointrend import PointRend
from segkit.registry import HEADS
from segkit.types import FeatureSpec

SPECS = tuple(FeatureSpec(channels=8, stride=4 * 2**i) for i in range(4))
SMALL: dict[str, Any] = {"channels": 16, "mask_channels": 8, "query_channels": 16, "num_heads": 2, "num_queries": 6}
SMALL |= {"feedforward_channels": 16, "decoder_layers": 2}
CONFIGS = [
    MaskFormerConfig(**SMALL),
    Mask2FormerConfig(
        **SMALL,
        norm=GroupNormConfig(num_groups=4),
        encoder_layers=1,
        encoder_heads=2,
        encoder_feedforward_channels=16,
        match_points=64,
        num_points=64,
    ),
]
every_config = pytest.mark.parametrize("config", CONFIGS, ids=["MaskFormer", "Mask2Former"])


def maps(batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, 8, 64 // spec.stride, 96 // spec.stride, generator=generator) for spec in SPECS]


def build(config: Any, num_classes: int = 3) -> Head:
    torch.manual_seed(0)
    return HEADS.build(config, SPECS, num_classes)


def test_the_truth_is_a_mask_for_each_class_that_is_there() -> None:
    target = torch.tensor([[[0, 2], [2, 255]], [[255, 255], [255, 255]]])
    first, second = truths_of(target, 3, count_ignored=False)
    assert first.labels.tolist() == [0, 2]
    assert first.masks.tolist() == [[[True, False], [False, False]], [[False, True], [True, False]]]
    assert first.valid is not None
    assert first.valid.tolist() == [[True, True], [True, False]]
    assert (first.labelled, second.labelled, len(second.labels)) == (True, False, 0)
    (only,) = truths_of(target[:1] // 2, 1, count_ignored=True)  # one class: 1 is it
    assert (only.labels.tolist(), only.valid) == ([0], None)
    assert only.masks.tolist() == [[[False, True], [True, False]]]


def test_matching_takes_the_least_total_cost() -> None:
    greedy_fails = torch.tensor([[1.0, 2.0], [2.0, 9.0], [8.0, 8.0]])
    more_masks = torch.tensor([[3.0, 1.0, 2.0]])
    broken = torch.full((2, 1), torch.nan)
    first, second, third, empty = matches_of([greedy_fails, more_masks, broken, torch.zeros(3, 0)])
    assert (first.queries.tolist(), first.masks.tolist()) == ([0, 1], [1, 0])
    assert (second.queries.tolist(), second.masks.tolist()) == ([0], [1])
    assert (len(third.queries), len(empty.queries)) == (1, 0)


@every_config
def test_what_is_all_right_costs_little(config: Any) -> None:
    criterion = type(build(config)).own_criterion(config, 3)
    target = torch.randint(0, 3, (2, 8, 12)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    classes = torch.full((2, 6, 4), -20.0)
    classes[:, 3:, 3] = 20.0
    masks = torch.full((2, 6, 32, 48), -20.0)
    for query, label in enumerate((2, 0, 1)):
        classes[:, query, label] = 20.0
        masks[:, query][target == label] = 20.0
    right = {"class_logits": classes, "mask_logits": masks}
    good = criterion(right, target)
    wrong = criterion({"class_logits": classes, "mask_logits": -masks}, target)
    assert set(good) == {"main.class", "main.mask", "main.dice"}
    assert float(good["main.class"]) < 1e-5
    assert all(float(good[name]) < 0.5 * float(wrong[name]) for name in ("main.mask", "main.dice"))


@every_config
def test_ignored_pixels_change_nothing_whatever_is_predicted_there(config: Any) -> None:
    criterion = type(build(config)).own_criterion(config, 3)
    target = torch.randint(0, 3, (1, 16, 16))
    target[:, :, 8:] = 255
    classes, masks = torch.randn(1, 6, 4), torch.randn(1, 6, 16, 16)
    other = masks.clone()
    other[..., 10:] = 5 * torch.randn(1, 6, 16, 6)
    if isinstance(config, Mask2FormerConfig):  # points are chosen by doubt, also where pixels are ignored
        criterion.points = Mask2FormerConfig(num_points=4000, match_points=4000, importance_ratio=0.0)
    results = []
    for x in (masks, other):
        torch.manual_seed(0)
        results.append(criterion({"class_logits": classes, "mask_logits": x}, target))
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], rtol=1e-4, atol=1e-5)


@every_config
def test_a_batch_without_labels_is_zero_and_on_the_graph(config: Any) -> None:
    head = build(config).train()
    terms = head.own_criterion(config, 3)(head.outputs(maps()), torch.full((2, 64, 96), 255))
    assert len(terms) == 3 * (2 if isinstance(config, MaskFormerConfig) else 3)
    assert all(float(term.detach()) == 0 for term in terms.values())
    sum(terms.values()).backward()
    assert [n for n, p in head.named_parameters() if p.grad is None or p.grad.any()] == []


@every_config
def test_every_parameter_learns_and_earlier_layers_are_judged_if_asked(config: Any) -> None:
    head = build(config).train()
    target = torch.randint(0, 3, (2, 64, 96))
    terms = head.own_criterion(config, 3)(head.outputs(maps()), target)
    assert {name.split(".")[0] for name in terms} >= {"main", "layer0"}
    sum(terms.values()).backward()
    assert [n for n, p in head.named_parameters() if p.grad is None] == []
    last = build(type(config)(**{**vars(config), "deep_supervision": False}))
    assert set(last.outputs(maps())) == {"class_logits", "mask_logits"}


@every_config
def test_scores_have_the_size_of_the_image(config: Any) -> None:
    head = build(config).eval()
    assert head.predict(maps(), (63, 95)).shape == (2, 3, 63, 95)
    assert head(maps()).shape == (2, 3, 16, 24)


def test_the_only_class_is_told_by_the_sign_of_its_logit() -> None:
    classes = torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]])
    masks = torch.tensor([[[[9.0, -9.0]], [[9.0, 9.0]]]])
    scores = class_scores(classes, masks, size=None, align_corners=False)
    assert (scores > 0).tolist() == [[[[True, False]]]]


def test_pointrend_classifies_anew_the_cells_in_doubt_alone() -> None:
    small: dict[str, Any] = {"channels": 8, "scale_head_channels": 8, "subdivision_steps": 1, "num_points": 32}
    torch.manual_seed(0)
    some = PointRend(PointRendConfig(**small, subdivision_points=5), SPECS, 3).eval()
    none = PointRend(PointRendConfig(**small | {"subdivision_steps": 0}), SPECS, 3).eval()
    none.load_state_dict(some.state_dict())
    refined = some(maps())
    plain = torch.nn.functional.interpolate(none(maps()), scale_factor=2, mode="bilinear")
    changed = (refined != plain).any(dim=1).flatten(1).sum(1)
    assert changed.tolist() == [5, 5]
    outputs = some.outputs(maps())
    assert {name: tuple(x.shape) for name, x in outputs.items()} == {
        "main": (2, 3, 32),
        "main.points": (2, 32, 2),
        "coarse": (2, 3, 16, 24),
    }
