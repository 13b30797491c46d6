"""Whole models: logits of an image, and losses, all in eval mode."""

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import fill
import torch
from differences import Difference, compare_stored
from ties import tied_choices
from torch import Tensor

from segkit.build import build_criterion, build_segmentor
from segkit.config.segmentor import SegmentorConfig
from segkit.losses.criterion import Criterion
from segkit.models.heads.base import Head
from segkit.models.heads.idrnet import IDRNet
from segkit.models.heads.masks.criterion import MaskCriterion
from segkit.models.heads.masks.truth import matches_of
from segkit.models.interop.sssegmentation import config_from_facts, convert_state, output_of
from segkit.models.segmentor import Segmentor
from segkit.types import IGNORE_INDEX, StepInfo

Case = dict[str, Any]
Arrays = dict[str, Any]


SET_LOSSES = ("loss_ce", "loss_mask", "loss_dice")
NEAR = 1e-4


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
        ours |= losses(criterion_of(config, case), outputs, target, case)
        ours |= memories(model, case, config)
        ours |= {name: outputs[name] for name in ("class_logits", "mask_logits") if name in outputs}
    if any(name.startswith("gain_") for name in case["outputs"]):
        load(model, case, config, gain=case["gain"])
        ours["gain_logits"] = model(image)
    for name in case["outputs"]:
        yield compare_stored(name, ours.get(name), case, arrays)


def criterion_of(config: SegmentorConfig, case: Case) -> Criterion:
    """Our loss; edges are those of the case, where the reference reads them from its data."""
    criterion = build_criterion(config)
    if given := re.search(r"fill\.edge_target\((\d+),(\d+),(\d+)\)", case["note"]):
        edges = torch.from_numpy(fill.edge_target(*map(int, given.groups())))
        criterion.own.edges = lambda target: edges
    return criterion


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


def losses(criterion: Criterion, outputs: Mapping[str, Tensor], target: Tensor, case: Case) -> dict[str, Tensor]:
    """Losses under their names.

    Mask heads match queries with true masks at least cost. Where two assignments cost the same but for rounding, the
    last digit of a logit decides between them, and a layer's losses differ by 1e-3 with it: both assignments are
    right, and the layer's losses are those of the one that the reference took.
    """
    found = losses_by_name(criterion(outputs, target), case)
    own = criterion.own
    if not isinstance(own, MaskCriterion):
        return found
    stored = {name: facts["value"] for name, facts in case["outputs"].items() if name.startswith("loss_")}
    costs: list[Tensor] = []
    own.match = lambda given: costs.extend(given) or matches_of(given)
    _judge_again(criterion, outputs, target)
    images = len(target)
    for end in [name.removeprefix("loss_dice") for name in stored if name.startswith("loss_dice")]:
        if _distance(found, stored, end) <= NEAR:
            continue
        first = images * (int(end[1:]) + 1 if end else 0)
        for choice in tied_choices(costs[first : first + images]):
            matches = matches_of(costs)
            matches[first : first + images] = choice
            own.match = lambda given, matches=matches: matches
            other = losses_by_name(_judge_again(criterion, outputs, target), case)
            if _distance(other, stored, end) < _distance(found, stored, end):
                found |= {f"{kind}{end}": other[f"{kind}{end}"] for kind in SET_LOSSES}
    return found | {"loss_total": torch.stack([found[name] for name in stored if name != "loss_total"]).sum()}


def _judge_again(criterion: Criterion, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, Tensor]:
    """With the same points as before."""
    torch.manual_seed(0)
    return criterion(outputs, target)


def _distance(found: Mapping[str, Tensor], stored: Mapping[str, float], end: str) -> float:
    return max(abs(float(found[f"{kind}{end}"]) / stored[f"{kind}{end}"] - 1) for kind in SET_LOSSES)


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
