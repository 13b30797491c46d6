"""Optimisers of torch.optim from their configs."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from segkit.config.training import OptimizerConfig
from segkit.optim.groups import param_groups

_OURS = ("type", "lr", "weight_decay", "params_rules")


def make_optimizer(config: OptimizerConfig, model: nn.Module) -> Optimizer:
    """Builds the torch.optim class that ``config`` is called after, over the groups of its rules.

    Its fastest form is taken: fused where there is one, else foreach.

    Args:
        config: the options.
        model: whose parameters to train, already on their device.

    Raises:
        ConfigError: a rule matches no parameter, or there is nothing to train.
    """
    cls: Callable[..., Optimizer] = getattr(torch.optim, config.type)  # type: ignore[attr-defined]
    groups = param_groups(model, config.params_rules, lr=config.lr, weight_decay=config.weight_decay)
    known = inspect.signature(cls).parameters
    if "weight_decay" not in known:
        for group in groups:
            del group["weight_decay"]
    options = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name not in _OURS}
    return cls(groups, lr=config.lr, **options, **_fastest(known, groups))


def _fastest(known: Mapping[str, Any], groups: list[dict[str, Any]]) -> dict[str, bool]:
    """The keyword that selects the quickest form: on the CPU too, fused takes less than half of foreach's time."""
    parameters = [parameter for group in groups for _, parameter in group["params"]]
    fusable = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
    if "fused" in known and fusable:
        return {"fused": True}
    return {"foreach": True} if "foreach" in known else {}
