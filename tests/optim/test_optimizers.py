"""Parameter groups; and every optimiser takes a step. The reference's rules are in tests/golden."""

import copy

import pytest
import torch
from torch import nn

from segkit.config.component import CONFIGS, to_plain
from segkit.config.training import ParamsRuleConfig, PolySchedulerConfig, SGDConfig
from segkit.errors import ConfigError
from segkit.optim.groups import param_groups
from segkit.optim.optimizers import make_optimizer
from segkit.registry import SCHEDULERS

every_optimizer = pytest.mark.parametrize("name", sorted(CONFIGS["scheduler/optimizer"]))


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def test_norm_means_every_normalisation_layer() -> None:
    groups = param_groups(small(), {"norm": ParamsRuleConfig(wd_multiplier=0.0)}, lr=0.1, weight_decay=0.5)
    by_decay = {group["weight_decay"]: [name for name, _ in group["params"]] for group in groups}
    assert by_decay == {0.5: ["0.weight", "0.bias", "3.weight", "3.bias"], 0.0: ["1.weight", "1.bias"]}


def test_rules_that_match_nothing_are_refused_with_the_nearest_name() -> None:
    model = nn.ModuleDict({"backbone": nn.Conv2d(3, 4, 1), "head": nn.Conv2d(4, 2, 1)})
    rules = {"backbon_net": ParamsRuleConfig(), "base_setting": ParamsRuleConfig(), "head": ParamsRuleConfig()}
    with pytest.raises(ConfigError) as caught:
        param_groups(model, rules, lr=0.1, weight_decay=0.0)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "params_rules.backbon_net: matches no parameter; did you mean 'backbone'?" in lines[0]
    assert "base_setting" in lines[1]


def test_frozen_parameters_are_left_out_and_shared_ones_taken_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model[0].bias.requires_grad_(False)
    (group,) = param_groups(model, {}, lr=0.1, weight_decay=0.0)
    assert [name for name, _ in group["params"]] == ["0.weight", "1.bias"]
    model.requires_grad_(False)
    with pytest.raises(ConfigError, match="no trainable"):
        param_groups(model, {}, lr=0.1, weight_decay=0.0)


@every_optimizer
def test_every_optimizer_has_the_defaults_of_torch(name: str) -> None:
    config = CONFIGS["scheduler/optimizer"][name]()
    plain = getattr(torch.optim, name)(small().parameters(), lr=config.lr)
    ours = make_optimizer(config, small())
    skipped = {"lr", "lr_multiplier", "fused", "foreach", "momentum"}
    for key in plain.defaults.keys() - skipped:
        assert ours.param_groups[0].get(key) == plain.defaults[key], key
    fields = set(to_plain(config)) - {"type", "params_rules"} - ({"weight_decay"} if name == "Rprop" else set())
    assert fields <= set(plain.defaults)


@every_optimizer
def test_every_optimizer_learns_and_goes_on_from_its_state(name: str) -> None:
    config = CONFIGS["scheduler/optimizer"][name](params_rules={"bias": ParamsRuleConfig(lr_multiplier=2.0)})
    torch.manual_seed(0)
    model = small()
    optimizer = make_optimizer(config, model)
    x = torch.randn(8, 3, 4, 4)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
        loss = (model(x) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    losses = [step(model, optimizer) for _ in range(20)]
    assert losses[-1] < losses[0]
    twin = small()
    twin.load_state_dict(model.state_dict())
    other = make_optimizer(config, twin)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert [step(model, optimizer) for _ in range(3)] == [step(twin, other) for _ in range(3)]


def test_the_schedule_sets_each_group_by_its_multiplier() -> None:
    config = PolySchedulerConfig(
        max_epochs=2, optimizer=SGDConfig(lr=1.0, params_rules={"bias": ParamsRuleConfig(lr_multiplier=0.5)})
    )
    optimizer = make_optimizer(config.optimizer, small())
    lr = SCHEDULERS.build(config, 10).apply(optimizer, 7)
    assert {group["lr_multiplier"]: group["lr"] for group in optimizer.param_groups} == {1.0: lr, 0.5: lr / 2}
