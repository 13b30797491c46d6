"""Whole and sliding inference with scales, mirrors and label pairs, on a model of one convolution."""

from collections.abc import Iterator
from typing import Any

import fill
import torch
from differences import Difference, compare
from torch import Tensor, nn

from segkit.config.inference import InferenceConfig, TTAConfig
from segkit.inference import predict_scores

Case = dict[str, Any]
SIZE = (70, 90)


class Convolution(nn.Module):
    """The model of the case: its logits are not resized."""

    def __init__(self, case: Case, stride: int, align_corners: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 7, 3, stride=stride, padding=1)
        filled = fill.fill_state(case["model"]["state"])
        self.load_state_dict({name: torch.from_numpy(value) for name, value in filled.items()})
        self.align_corners = align_corners

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images)


def matches(case: Case) -> bool:
    return "settings" in case and "model" in case


def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    image = torch.from_numpy(fill.image((1, 3, *SIZE)))
    for setting in case["settings"]:
        model = Convolution(case, setting["model_stride"], setting["align_corners"])
        scores = predict_scores(model, image, config_of(setting), size=SIZE)
        key, stored = setting["key"], setting["final"]
        steps = tuple(slice(None, None, step) for step in stored["stride"])
        yield compare(key, scores[steps], arrays[f"{key}_final"])
        yield compare(f"{key} deviation", scores.std(correction=0), stored["std"])


def config_of(setting: Case) -> InferenceConfig:
    pairs = setting["fixed_seg_target_pairs"] or ()
    return InferenceConfig(
        mode=setting["mode"],
        crop_size=setting["cropsize"] and tuple(setting["cropsize"]),
        stride=setting["stride"] and tuple(setting["stride"]),
        average="probs" if setting["use_probs_before_resize"] else "logits",
        tta=TTAConfig(
            scales=tuple(map(float, setting["multiscale"])), flip=setting["flip"], swaps=tuple(map(tuple, pairs))
        ),
    )
