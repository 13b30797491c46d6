"""Backbones alone: their feature maps."""

from collections.abc import Iterator
from typing import Any

import fill
import torch
from differences import Difference, compare_stored

from segkit.models.interop.sssegmentation.backbones import backbone_config, backbone_state
from segkit.registry import BACKBONES


def matches(case: dict[str, Any]) -> bool:
    return "backbone" in case.get("facts", {}) and "segmentor" not in case["facts"]


def compare_case(case: dict[str, Any], arrays: dict[str, Any]) -> Iterator[Difference]:
    arguments = {k: v for k, v in case["facts"]["backbone"].items() if k != "selected_indices"}  # all were stored
    config = backbone_config({"backbone": arguments})
    model = BACKBONES.build(config).eval()
    image = torch.from_numpy(fill.image(case["input_shape"]))
    for prefix in {name.rpartition("out")[0] for name in case["outputs"]}:
        filled = fill.fill_state(case["state"], case["constant"], case["gain"] if prefix == "gain_" else 1.0)
        state = {name: torch.from_numpy(value) for name, value in filled.items()}
        model.load_state_dict(backbone_state(state, config))
        ours = {f"{prefix}out{i}": x for i, x in enumerate(model(image))}
        for name in case["outputs"]:
            if name.startswith(f"{prefix}out"):
                yield compare_stored(name, ours.get(name), case, arrays)
