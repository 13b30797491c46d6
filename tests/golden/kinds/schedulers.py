"""Learning rates of every schedule, and of every parameter under every set of rules.

Layer-wise decay has no counterpart yet and is not compared.
"""

from collections.abc import Iterator
from typing import Any

import torch
from differences import Difference, compare
from torch import nn

from segkit.config.component import CONFIGS
from segkit.config.training import ParamsRuleConfig, PolySchedulerConfig, SchedulerConfig, SGDConfig, WarmupConfig
from segkit.optim.groups import param_groups
from segkit.registry import SCHEDULERS

Case = dict[str, Any]


def matches(case: Case) -> bool:
    return "runs" in case and "param_groups" in case


def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    for i, run in enumerate(case["runs"]):
        scheduler = SCHEDULERS.build(schedule_of(run["args"], case), case["iters_per_epoch"])
        yield compare(f"run {i}", [scheduler.lr_at(step) for step in case["iterations"]], run["lr"])
    model = module_of(case["tiny_model"])
    for i, setting in enumerate(case["param_groups"]):
        yield from compare_groups(f"groups {i}", setting, model, case)


def schedule_of(arguments: Case, case: Case) -> SchedulerConfig:
    warmup = arguments["warmup_cfg"] or {"type": "linear", "ratio": 1.0}
    return CONFIGS["scheduler"][arguments["type"]](
        max_epochs=case["max_epochs"],
        min_lr=arguments["min_lr"],
        warmup=WarmupConfig(
            type=warmup["type"],
            ratio=warmup["ratio"],
            length=warmup.get("epochs", warmup.get("iters", 0)),
            by_epoch="epochs" in warmup,
        ),
        optimizer=SGDConfig(lr=case["lr"]),
        **{name: arguments[name] for name in ("power", "by_epoch") if name in arguments},
    )


def module_of(parameters: list[list[Any]]) -> nn.Module:
    """A module with parameters of these names and shapes."""
    root = nn.Module()
    for name, shape, trainable in parameters:
        *path, last = name.split(".")
        module = root
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        module.register_parameter(last, nn.Parameter(torch.zeros(shape), requires_grad=trainable))
    return root


def compare_groups(name: str, setting: Case, model: nn.Module, case: Case) -> Iterator[Difference]:
    """Rate and decay of each trainable parameter; ``base_setting`` has no effect in the reference."""
    options = setting["optimizer"]
    rules = {key: ParamsRuleConfig(**rule) for key, rule in options["params_rules"].items() if key != "base_setting"}
    groups = param_groups(model, rules, lr=options["lr"], weight_decay=options["weight_decay"])
    ours = {parameter: group for group in groups for parameter, _ in group["params"]}
    theirs = {parameter: group for group in setting["groups"] for parameter in group["params"] if parameter in ours}
    config = PolySchedulerConfig(max_epochs=case["max_epochs"], optimizer=SGDConfig(lr=options["lr"]))
    later = SCHEDULERS.build(config, case["iters_per_epoch"]).lr_at(1000)
    trainable = sorted(parameter for parameter, _, trains in case["tiny_model"] if trains)
    yield compare(f"{name} parameters", len(trainable), len(set(ours) & set(theirs)))
    distinct = {(theirs[p]["lr_at_0"], theirs[p]["weight_decay"]) for p in trainable}
    yield compare(f"{name} merged", len(groups), len(distinct))
    for key, value in (
        ("weight_decay", lambda group: group["weight_decay"]),
        ("lr_at_0", lambda group: group["lr_multiplier"] * options["lr"]),
        ("lr_at_1000", lambda group: group["lr_multiplier"] * later),
    ):
        yield compare(f"{name} {key}", [value(ours[p]) for p in trainable], [theirs[p][key] for p in trainable])
