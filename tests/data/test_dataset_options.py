"""The YAML options of data sets: each composes, and together they hold what the published recipes train on."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from segkit.build import build_pipeline
from segkit.config.component import type_name
from segkit.config.compose import compose
from segkit.config.datasets import DatasetConfig
from segkit.config.store import conf_folder
from segkit.config.transforms import RandomFlipConfig

OPTIONS = sorted(path.stem for path in (conf_folder() / "dataset").glob("*.yaml"))
every_option = pytest.mark.parametrize("option", OPTIONS)


composed = cache(lambda option: compose([f"dataset={option}"]))


@every_option
def test_it_composes_and_its_steps_can_be_built(option: str) -> None:
    for role in ("train", "val"):
        build_pipeline(composed(option), role)  # type: ignore[arg-type]


_KEPT_BY_DEFAULT = {"Normalize": {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}}
_LEFT_OUT = ("ToTensor", "EdgeExtractor")  # loaders make tensors; heads that need edges make them
_RENAMED = {"angle_upper": "max_angle"}


def wanted(steps: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """Steps of a recipe in segkit's words."""
    found = []
    for name, options in steps:
        kept = {_RENAMED.get(k, k): v for k, v in options.items() if k not in ("data_type", "fixed_seg_target_pairs")}
        if name not in _LEFT_OUT:
            found.append((name, kept))
    return found


def has(config: DatasetConfig, field: str, steps: list[tuple[str, dict[str, Any]]]) -> bool:
    own = list(getattr(config, field).values())
    if [type_name(type(step)) for step in own] != [name for name, _ in steps]:
        return False
    plain = [json.loads(json.dumps(vars(step))) for step in own]
    return all(
        mine[key] == value for mine, (_, options) in zip(plain, steps, strict=True) for key, value in options.items()
    )


def test_the_options_cover_the_recipes(shared: Callable[..., Path]) -> None:
    recipes = json.loads(shared("facts", "recipes.json").read_text(encoding="utf-8"))
    options = {name: composed(name).dataset for name in OPTIONS}
    lacking = set()
    for recipe in recipes:
        data = recipe["dataset"]
        source = next(iter(data["train"].values())) if data["type"] == "MultipleDataset" else data
        fits = [
            name
            for name, config in options.items()
            if type_name(type(config)) == data["type"]
            and has(config, "train_transforms", wanted(source["train_pipeline"]))
            and has(config, "val_transforms", wanted(source["test_pipeline"]))
            and config.repeat_times == source["repeat_times"]
        ]
        if not fits:
            lacking.add(recipe["name"])
    assert lacking == set()


@pytest.mark.parametrize(
    ("option", "pairs"),
    [
        ("lip_473x473", ((14, 15), (16, 17), (18, 19))),
        ("cihp_473x473", ((14, 15), (16, 17), (18, 19))),
        ("atr_473x473", ((9, 10), (12, 13), (14, 15))),
        ("ade20k_512x512", ()),
    ],
)
def test_flips_exchange_left_and_right_without_being_told(option: str, pairs: Any) -> None:
    def swaps(*more: str) -> Any:
        config = compose([f"dataset={option}", *more]) if more else composed(option)
        pipeline = build_pipeline(config, "train")
        (flip,) = (
            step.config for step in pipeline.transforms if isinstance(getattr(step, "config", None), RandomFlipConfig)
        )
        return flip.swaps

    assert swaps() == pairs
    if option == "lip_473x473":
        assert swaps("dataset.train_transforms.flip.swaps=[[0,1]]") == ((0, 1),)
        assert swaps("dataset.train_transforms.flip.swaps=[]") == ()
