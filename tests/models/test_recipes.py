"""Every experiment with a published counterpart describes the same model and the same training."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segkit.config import store
from segkit.config.checks import named_losses
from segkit.config.component import to_plain
from segkit.config.compose import compose
from segkit.config.segmentor import SegmentorConfig
from segkit.models.interop.sssegmentation import config_from_facts

FILES = {path.stem: path.read_text(encoding="utf-8") for path in (store.conf_folder() / "experiment").glob("*.yaml")}
PUBLISHED = {name: found[1] for name, text in FILES.items() if (found := re.search(r"\(SSSegmentation (\w+),", text))}


@pytest.fixture(scope="session")
def recipes(shared: Callable[..., Path]) -> dict[str, dict[str, Any]]:
    return {r["name"]: r for r in json.loads(shared("facts", "recipes.json").read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_model_is_the_published_one(name: str, recipes: dict[str, dict[str, Any]]) -> None:
    recipe = recipes[PUBLISHED[name]]
    ours = compose([f"+experiment={name}"])
    theirs = config_from_facts({**recipe, "segmentor": recipe["segmentor_type"]})
    for part in ("head", "norm", "act"):
        ours_plain, theirs_plain = to_plain(getattr(ours, part)), to_plain(getattr(theirs, part))
        derived = {key for key, value in ours_plain.items() if value is None}  # theirs writes out what follows
        assert ours_plain == theirs_plain | dict.fromkeys(derived), part
    assert backbone(ours) == backbone(theirs)
    assert auxiliary(ours) == auxiliary(theirs)
    assert [to_plain(v) for v in named_losses(ours.loss).values()] == [
        to_plain(v) for v in named_losses(theirs.loss).values()
    ]
    assert len(ours.dataset.classes) == recipe["num_classes"]
    assert f"Published: {recipe['published']['mIoU']} mIoU" in FILES[name]


def backbone(config: SegmentorConfig) -> dict[str, Any]:
    """Without which features are returned: ours returns all, and a head reads those it needs."""
    plain = to_plain(config.backbone)
    return {k: v for k, v in plain.items() if k not in ("out_indices", "pretrained", "weights")}


def auxiliary(config: SegmentorConfig) -> list[Any]:
    """Heads and weights. The level counts from the end, as the reference's rule does."""
    made = []
    for aux in config.auxiliary.values():
        level = aux.level if aux.level < 0 else aux.level - len(config.backbone.strides)
        made.append((to_plain(aux.head), level, aux.weight))
    return made


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_training_is_the_published_one(name: str, recipes: dict[str, dict[str, Any]]) -> None:
    recipe, ours = recipes[PUBLISHED[name]], to_plain(compose([f"+experiment={name}"]))
    theirs, scheduler = recipe["scheduler"], ours["scheduler"]
    assert (scheduler["type"], scheduler["max_epochs"]) == (theirs["type"], theirs["max_epochs"])
    assert (scheduler["power"], scheduler["min_lr"]) == (theirs["power"], theirs["min_lr"])
    assert scheduler["warmup"]["length"] == (theirs["warmup"] or {"iters": 0})["iters"]
    optimizer = {k: v for k, v in theirs["optimizer"].items() if k != "params_rules"}
    assert {k: scheduler["optimizer"][k] for k in optimizer} == optimizer
    assert ours["dataloader"]["total_batch_size"] == recipe["dataloader"]["total_train_batch_size"]
    assert ours["inference"]["mode"] == recipe["inference"]["forward"]["mode"]
    assert (ours["inference"]["average"] == "probs") == recipe["inference"]["tta"]["use_probs_before_resize"]
    steps = {s["type"]: s for s in ours["dataset"]["train_transforms"].values()}
    expected = {kind: options for kind, options in recipe["dataset"]["train_pipeline"] if kind != "ToTensor"}
    assert list(steps) == list(expected)
    for kind, options in expected.items():
        assert {k: steps[kind][k] for k in options if k != "data_type"} == {
            k: v for k, v in options.items() if k != "data_type"
        }
