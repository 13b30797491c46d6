"""The average follows its formula, buffers included."""

import pytest
import torch
from torch import nn

from segkit.config.training import EmaConfig
from segkit.engine.ema import Ema


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def move(model: nn.Module) -> None:
    """A forward pass in training and a made-up step."""
    model.train()(torch.randn(2, 3, 5, 5))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))


@pytest.mark.parametrize("device", ["model", "cpu"])
def test_follows_its_formula(device: str) -> None:
    model = network()
    expected = {k: v.clone() for k, v in model.state_dict().items()}
    ema = Ema(EmaConfig(enabled=True, momentum=0.2, device=device), model)
    for _ in range(3):
        move(model)
        ema.update()
        for name, value in model.state_dict().items():
            expected[name] = 0.8 * expected[name] + 0.2 * value if value.is_floating_point() else value.clone()
    torch.testing.assert_close(dict(ema.model.state_dict()), expected)
    assert not ema.model.training
    assert not any(p.requires_grad for p in ema.model.parameters())


def test_momentum_one_is_the_model_itself() -> None:
    model = network()
    ema = Ema(EmaConfig(enabled=True, momentum=1.0), model)
    for _ in range(2):
        move(model)
        ema.update()
    torch.testing.assert_close(ema.model.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_shared_weights_are_averaged_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    with torch.no_grad():
        model[0].weight.zero_()
    ema = Ema(EmaConfig(enabled=True, momentum=0.5), model)
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    ema.update()
    assert (ema.model[0].weight == 0.5).all()
    assert ema.model[0].weight is ema.model[1].weight


def test_goes_on_after_loading() -> None:
    model = network()
    ema = Ema(EmaConfig(enabled=True, momentum=0.5), model)
    zeros = {k: torch.zeros_like(v) for k, v in model.state_dict().items()}
    ema.model.load_state_dict(zeros)
    model.load_state_dict({k: torch.ones_like(v) for k, v in zeros.items()})
    ema.update()
    assert all((v == 0.5).all() for v in ema.model.state_dict().values() if v.is_floating_point())
