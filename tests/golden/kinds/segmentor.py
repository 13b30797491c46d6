"""Whole models: logits of an image, and losses, all in eval mode."""

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import fill
import torch
from differences import Difference, compare_stored
from torch import Tensor

from segkit.build import build_criterion, build_segmentor
from segkit.config.segmentor import SegmentorConfig
from segkit.models.heads.base import Head
from segkit.models.heads.idrnet import IDRNet
from segkit.models.interop.sssegmentation import config_from_facts, convert_state, output_of
from segkit.models.segmentor import Segmentor
from segkit.types import IGNORE_INDEX, StepInfo

Case = dict[str, Any]
Arrays = dict[str, Any]


def matches(case: Case) -> bool:
    return "facts" in case and "segmentor" in case["facts"]


def compare_case(case: Case, arrays: Arrays) -> Iterator[Difference]:
    config = config_from_facts(case["facts"])
    model = build_segmentor(config).eval()
    image = torch.from_numpy(fill.image(case["input_shape"]))
    load(model, case, config, gain=1.0)
    ours: dict[str, Tensor] = {"logits": model(image)}
    if any(name.startswith("loss_") for name in case["outputs"]):
        target = target_of(case)
        torch.manual_seed(0)  # as the reference, where it draws points; it draws them in the same order
        draw_as_python(model.head)
        outputs = model.outputs(image, StepInfo(target, **case["train_kwargs"]))
        ours |= losses_by_name(build_criterion(config)(outputs, target), case)
        ours |= memories(model, case, config)
        ours |= {name: outputs[name] for name in ("class_logits", "mask_logits") if name in outputs}
    if any(name.startswith("gain_") for name in case["outputs"]):
        load(model, case, config, gain=case["gain"])
        ours["gain_logits"] = model(image)
    for name in case["outputs"]:
        yield compare_stored(name, ours.get(name), case, arrays)


def load(model: Segmentor, case: Case, config: SegmentorConfig, gain: float) -> None:
    """Fills the reference's state, and loads it through interop."""
    filled = fill.fill_state(case["state"], case["constant"], gain)
    state = {name: torch.as_tensor(value) for name, value in filled.items()}
    if case["facts"]["segmentor"] == "MCIBIPlusPlus":
        state["memory_module.memory"][:, 1].abs_()  # standard deviations
    model.load_state_dict(convert_state(state, config, model.state_dict()))


def draw_as_python(head: Head) -> None:
    """Lets IDRNet choose as the reference does with Python's generator seeded with 0, of which it first asks a seed."""
    if isinstance(head, IDRNet):
        generator = random.Random(0)
        generator.randint(1, 10**16)
        head.draw = lambda count, device: torch.tensor([generator.random() for _ in range(count)], dtype=torch.float64)


def memories(model: Segmentor, case: Case, config: SegmentorConfig) -> dict[str, Tensor]:
    """What the training step wrote into buffers, under their names, in their shapes."""
    stored = {name: name.partition(":")[2] for name in case["outputs"] if name.startswith("after_train:")}
    state = model.state_dict()
    found = {}
    for output, theirs in stored.items():
        (ours,) = convert_state({theirs: torch.zeros(())}, config)
        found[output] = state[ours]
    return found


def losses_by_name(terms: Mapping[str, Tensor], case: Case) -> dict[str, Tensor]:
    """Our terms, "<output>.<loss>", summed to theirs; of mask heads each is one of theirs, such as loss_dice_2."""
    found = {}
    for name in case["facts"]["losses"]:
        output = output_of(name, case["facts"]["segmentor"])
        found[name] = torch.stack([x for key, x in terms.items() if key.partition(".")[0] == output]).sum()
    if "loss_memory" in case["outputs"]:
        found["loss_memory"] = terms["memory.loss"]
    for name in case["outputs"]:
        if parts := re.fullmatch(r"loss_(ce|mask|dice)(?:_(\d+))?", name):
            loss, layer = parts.groups()
            output = "main" if layer is None else f"layer{layer}"
            found[name] = terms[f"{output}.{'class' if loss == 'ce' else loss}"]
    return found | {"loss_total": torch.stack(list(terms.values())).sum()}


def target_of(case: Case) -> Tensor:
    """The labels that the case names, such as fill.target(2,64,64,19,255), with our value for what is ignored."""
    numbers = re.fullmatch(r"fill\.target\(([\d,\s-]+)\)", case["target"])
    n, h, w, num_classes, ignore = (int(x) for x in numbers[1].split(","))
    labels = torch.from_numpy(fill.target(n, h, w, num_classes, ignore))
    return labels.masked_fill(labels == ignore, IGNORE_INDEX)
