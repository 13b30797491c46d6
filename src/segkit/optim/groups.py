"""Parameter groups: which parameters learn faster, slower, or without weight decay."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from segkit.config.spelling import nearest
from segkit.config.training import ParamsRuleConfig
from segkit.errors import ConfigError, Problem

RULES_PATH = "scheduler.optimizer.params_rules"


def param_groups(
    model: nn.Module, rules: Mapping[str, ParamsRuleConfig], *, lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Sorts the trainable parameters into as few groups as the rules allow.

    Few groups matter: fused and foreach optimisers run once for each. A parameter follows the longest rule whose
    text is part of its name. ``norm`` also takes the parameters of every normalisation layer, whatever its name.

    Args:
        model: whose parameters.
        rules: part of a name -> multipliers.
        lr: base learning rate.
        weight_decay: base weight decay.

    Returns:
        groups for torch.optim: ``params`` as (name, parameter) pairs, ``lr``, ``weight_decay``, ``lr_multiplier``.

    Raises:
        ConfigError: a rule matches no parameter, or there is nothing to train.
    """
    ordered = sorted(rules, key=lambda rule: (-len(rule), rule))
    base = ParamsRuleConfig()
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    unused = set(rules)
    names: list[str] = []
    for name, is_norm, parameter in _named_parameters(model):
        names.append(name)
        matches = [rule for rule in ordered if rule in name or (is_norm and rule == "norm")]
        unused.difference_update(matches)
        if not parameter.requires_grad:
            continue
        rule = rules[matches[0]] if matches else base
        multipliers = (rule.lr_multiplier, rule.wd_multiplier)
        group = groups.setdefault(
            multipliers,
            {
                "params": [],
                "lr": lr * rule.lr_multiplier,
                "weight_decay": weight_decay * rule.wd_multiplier,
                "lr_multiplier": rule.lr_multiplier,
            },
        )
        group["params"].append((name, parameter))
    if unused:
        raise ConfigError([Problem(f"{RULES_PATH}.{rule}", _no_match(rule, names)) for rule in sorted(unused)])
    if not groups:
        raise ConfigError("the model has no trainable parameters")
    return list(groups.values())


def _named_parameters(model: nn.Module) -> Iterator[tuple[str, bool, nn.Parameter]]:
    """(name, belongs to a normalisation layer, parameter), each parameter once."""
    seen: set[int] = set()
    for prefix, module in model.named_modules():
        is_norm = "norm" in type(module).__name__.lower()
        for name, parameter in module.named_parameters(prefix, recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, is_norm, parameter


def _no_match(rule: str, names: list[str]) -> str:
    """What to say of a rule that no parameter follows."""
    parts = dict.fromkeys(part for name in names for part in name.split("."))
    prefixes = dict.fromkeys(".".join(name.split(".")[:n]) for name in names for n in range(2, name.count(".") + 1))
    best = nearest(rule, {**parts, **prefixes})
    also = f"did you mean {best!r}?" if best else f"names look like {', '.join(names[:3])}"
    return f"matches no parameter; {also}"
