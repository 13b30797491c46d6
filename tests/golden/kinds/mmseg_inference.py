"""MMSegmentation's whole and sliding inference by a model of one convolution: padding cut off, flip undone, resized.

Deviation: logits of a whole image go to the size of the result in one step, as SSSegmentation's do; MMSegmentation
enlarges them to the model's input first. Where that makes a difference, both steps are taken here.
"""

from collections.abc import Iterator
from typing import Any

import fill
import torch
from differences import Difference, compare

from kinds.inference import convolution, numbers
from segkit.config.inference import InferenceConfig
from segkit.inference.predict import predict_classes, predict_scores
from segkit.ops.resize import resize

Case = dict[str, Any]


def matches(case: Case) -> bool:
    return "padding_left_right_top_bottom" in (case.get("settings") or [{}])[0]


def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    image = torch.from_numpy(fill.image(numbers(case["image"])))
    height, width = image.shape[2:]
    for setting in case["settings"]:
        key, final = setting["key"], setting["final"]
        model = convolution(case, setting)
        config = InferenceConfig(mode=setting["mode"], crop_size=setting["crop_size"], stride=setting["stride"])
        left, right, top, bottom = setting["padding_left_right_top_bottom"]
        shape = {"size": tuple(setting["ori_shape"]), "box": (top, left, height - top - bottom, width - left - right)}
        if setting["mode"] == "whole":
            scores = predict_scores(model, image, config, box=shape["box"])
            scores = resize(scores, shape["size"], align_corners=model.align_corners)
            classes = scores.argmax(dim=1)
        else:
            scores = predict_scores(model, image, config, **shape)
            classes = predict_classes(model, image, config, **shape)
        scores = _upright(scores, setting["flip"])
        steps = tuple(slice(None, None, step) for step in final["stored_with_leading_1_stride"])
        stored = arrays[key]
        yield compare(f"{key} final", scores.numpy()[steps].reshape(stored.shape), stored)
        yield compare(f"{key} deviation", scores.double().std(correction=0), final["std"])
        yield compare(f"{key} classes", classes.flatten().bincount(minlength=7), final["argmax_histogram"])


def _upright(scores: torch.Tensor, flip: str | None) -> torch.Tensor:
    """Mirrored back: the image is taken for a mirrored one."""
    return scores if flip is None else scores.flip(-1 if flip == "horizontal" else -2)
