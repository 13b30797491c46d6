"""Transforms of a small image and its labels, where nothing is left to chance.

Settings that depend on the order of the reference's random draws, or on arguments that have no counterpart, are not
compared.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from differences import Difference, compare

from segkit.config.photometric import (
    AdjustGammaConfig,
    CLAHEConfig,
    PILRandomGaussianBlurConfig,
    RandomGaussianBlurConfig,
    RerangeConfig,
    RGB2GrayConfig,
)
from segkit.config.transforms import (
    AlbumentationsWrapperConfig,
    EdgeExtractorConfig,
    NormalizeConfig,
    PaddingConfig,
    RandomChoiceResizeConfig,
    RandomCropConfig,
    RandomFlipConfig,
    RandomShortestEdgeResizeConfig,
    ResizeConfig,
    ResizeShortestEdgeConfig,
    ToTensorConfig,
    TransformConfig,
)
from segkit.registry import TRANSFORMS
from segkit.types import IGNORE_INDEX, Sample

Case = dict[str, Any]


def matches(case: Case) -> bool:
    return "settings" in case and any(setting.get("type") == "Resize" for setting in case["settings"])


def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    for setting in case["settings"]:
        config = config_of(setting)
        if config is None or setting["mode"].startswith("seeded"):
            continue
        image = arrays["input_image"]
        if setting["args"].get("to_rgb"):
            image = image[..., ::-1]
        if setting["mode"] == "tensor":
            image = image.astype(np.float32)
        label = arrays["input_label_blocks" if setting["label"] == "blocks" else "input_label"]
        ignored = setting["args"].get("ignore_index", IGNORE_INDEX)
        label = np.where(label == ignored, np.uint8(IGNORE_INDEX), label)
        sample = TRANSFORMS.build(config)(Sample("x", image.copy(), label.copy()), np.random.default_rng(0))
        if setting["mode"] == "tensor" or setting["type"] == "ToTensor":
            sample = replace(sample, image=np.moveaxis(sample.image, -1, 0))
        ours = {"image": sample.image, "seg_target": sample.mask, "edge_target": sample.edges}
        for name, facts in setting["outputs"].items():
            yield from compare_output(f"{setting['key']}_{name}", ours[name], facts, arrays)


def compare_output(key: str, ours: Any, facts: Case, arrays: Case) -> Iterator[Difference]:
    yield compare(f"{key} shape", ours.shape, facts["shape"])
    if list(ours.shape) == facts["shape"]:
        steps = tuple(slice(None, None, step) for step in facts.get("stride", ()))
        yield compare(key, ours[steps], arrays[key])
        yield compare(f"{key} sum", ours.sum(dtype=np.float64), facts["sum"])


def config_of(setting: Case) -> TransformConfig | None:
    """Our config, or None where there is no counterpart."""
    read = READERS.get(setting["type"])
    return None if read is None else read(dict(setting["args"]))


def resize(arguments: Case) -> ResizeConfig:
    size, scales = arguments["output_size"], arguments["scale_range"]
    return ResizeConfig(
        output_size=(size, size) if isinstance(size, int) else tuple(size),
        keep_ratio=arguments["keep_ratio"],
        scale_range=None if scales is None else tuple(scales),
        min_size=arguments.get("min_size"),
        interpolation=arguments.get("image_interpolation", "bilinear"),
    )


def shortest_edge(arguments: Case) -> ResizeShortestEdgeConfig:
    length = arguments.pop("short_edge_length")
    shortest = length if isinstance(length, int) else min(length)
    return ResizeShortestEdgeConfig(short_edge_length=shortest, **of_resize(arguments))


def crop(arguments: Case) -> RandomCropConfig:
    return RandomCropConfig(
        crop_size=tuple(arguments["crop_size"]), one_category_max_ratio=arguments["one_category_max_ratio"]
    )


def normalize(arguments: Case) -> NormalizeConfig:
    return NormalizeConfig(mean=tuple(arguments["mean"]), std=tuple(arguments["std"]))


def padding(arguments: Case) -> PaddingConfig | None:
    if arguments.get("output_size_auto_adaptive"):  # swaps the sides for upright images
        return None
    return PaddingConfig(output_size=tuple(arguments["output_size"]), fill=float(arguments["image_fill_value"]))


def flip(arguments: Case) -> RandomFlipConfig:
    pairs = arguments.get("fixed_seg_target_pairs") or ()
    return RandomFlipConfig(prob=arguments["prob"], swaps=tuple(map(tuple, pairs)))


def choice(arguments: Case) -> RandomChoiceResizeConfig:
    scales = tuple(scale if isinstance(scale, int) else tuple(scale) for scale in arguments.pop("scales"))
    return RandomChoiceResizeConfig(scales=scales, **of_resize(arguments))


def random_shortest_edge(arguments: Case) -> RandomShortestEdgeResizeConfig:
    bounds = tuple(arguments.pop("short_edge_range"))
    return RandomShortestEdgeResizeConfig(short_edge_range=bounds, **of_resize(arguments))


def of_resize(arguments: Case) -> Case:
    """What is handed on to the resize, by our names; labels always follow by nearest neighbour."""
    names = {"image_interpolation": "interpolation"}
    left_out = ("seg_target_interpolation", "mapper_interpolation", "img2aug_pos_mapper_interpolation")
    return {names.get(key, key): value for key, value in arguments.items() if key not in left_out}


def edges(arguments: Case) -> EdgeExtractorConfig:
    return EdgeExtractorConfig(edge_width=arguments["edge_width"])


def plain(cls: type[TransformConfig]) -> Callable[[Case], TransformConfig]:
    """Where the arguments have our names."""

    def read(arguments: Case) -> TransformConfig:
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()})

    return read


def wrapped(arguments: Case) -> AlbumentationsWrapperConfig:
    options = dict(arguments["albu_cfg"])
    return AlbumentationsWrapperConfig(name=options.pop("type"), kwargs=options)


READERS: dict[str, Callable[[Case], TransformConfig | None]] = {
    "Resize": resize,
    "ResizeShortestEdge": shortest_edge,
    "RandomCrop": crop,
    "Normalize": normalize,
    "Padding": padding,
    "RandomFlip": flip,
    "AlbumentationsWrapper": wrapped,
    "RandomChoiceResize": choice,
    "RandomShortestEdgeResize": random_shortest_edge,
    "ToTensor": plain(ToTensorConfig),
    "EdgeExtractor": edges,
    "RGB2Gray": plain(RGB2GrayConfig),
    "AdjustGamma": plain(AdjustGammaConfig),
    "CLAHE": plain(CLAHEConfig),
    "Rerange": plain(RerangeConfig),
    "RandomGaussianBlur": plain(RandomGaussianBlurConfig),
    "PILRandomGaussianBlur": plain(PILRandomGaussianBlurConfig),
}
