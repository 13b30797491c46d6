"""Whole and sliding inference with several looks, by a model of one convolution."""

from collections.abc import Iterator
from typing import Any

import fill
import torch
from differences import Difference, compare
from torch import nn

from segkit.config.inference import InferenceConfig, TTAConfig
from segkit.inference.predict import predict_classes, predict_scores
from segkit.inference.tta import looks

Case = dict[str, Any]


def matches(case: Case) -> bool:
    return "use_probs_before_resize" in (case.get("settings") or [{}])[0]


def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    image = torch.from_numpy(fill.image(numbers(case["image"])))
    for setting in case["settings"]:
        key, final = setting["key"], setting["final"]
        model, config = convolution(case, setting), _config(setting)
        raw = [look.rows(0, look.height) for look in looks(model, image, config)]
        yield compare(f"{key} shapes of looks", [r.shape for r in raw], setting["list_of_raw_results"])
        yield compare(f"{key} looks", [r.double().abs().sum() for r in raw], setting["raw_sum_abs"])
        scores = predict_scores(model, image, config)
        stored = scores.numpy()[tuple(slice(None, None, step) for step in final["stride"])]
        yield compare(f"{key} final", stored, arrays[f"{key}_final"])
        yield compare(f"{key} deviation", scores.double().std(correction=0), final["std"])
        classes = predict_classes(model, image, config).flatten()
        yield compare(f"{key} classes", classes.bincount(minlength=7), final["argmax_histogram"])


def numbers(text: str) -> list[int]:
    """The shape in ``fill.image((1,3,70,90))``."""
    return [int(number) for number in text.partition("((")[2].partition(")")[0].split(",")]


def convolution(case: Case, setting: Case) -> nn.Conv2d:
    state = {name: torch.from_numpy(value) for name, value in fill.fill_state(case["model"]["state"]).items()}
    classes, channels, *kernel = state["conv.weight"].shape
    model = nn.Conv2d(channels, classes, tuple(kernel), stride=setting["model_stride"], padding=1)
    model.load_state_dict({name.removeprefix("conv."): value for name, value in state.items()})
    model.align_corners = setting["align_corners"]
    return model.eval()


def _config(setting: Case) -> InferenceConfig:
    return InferenceConfig(
        mode=setting["mode"],
        crop_size=setting["cropsize"],
        stride=setting["stride"],
        average="probs" if setting["use_probs_before_resize"] else "logits",
        tta=TTAConfig(
            scales=tuple(map(float, setting["multiscale"])),
            flip=setting["flip"],
            swaps=tuple(map(tuple, setting["fixed_seg_target_pairs"] or ())),
        ),
    )
