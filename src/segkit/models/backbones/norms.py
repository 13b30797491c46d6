"""Swaps the batch normalisation that timm builds in for the one that a configuration chooses."""

from collections.abc import Iterator
from typing import Any

from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from segkit.config.layers import BatchNorm2dConfig, NormConfig, SyncBatchNormConfig
from segkit.layers.defaults import current_defaults
from segkit.layers.norm import LayerNorm2d, SyncBatchNorm2d, build_norm


def use_chosen_norm(model: nn.Module, config: NormConfig | None, *, keep_numbers: bool = False) -> None:
    """Puts the chosen normalisation in the place of every BatchNorm2d; names and weights stay.

    Args:
        model: changed in place.
        config: the choice; None takes the one in force (:mod:`segkit.layers.defaults`).
        keep_numbers: without ``config``, batch normalisation keeps the eps and momentum that the model was made with.
    """
    chosen = config or current_defaults().norm
    keep_numbers &= config is None and isinstance(chosen, (BatchNorm2dConfig, SyncBatchNormConfig))
    for parent, name, old in list(_batch_norms(model)):
        new: Any = build_norm(old.num_features, chosen)
        if keep_numbers:
            new.eps, new.momentum = old.eps, old.momentum
        new.load_state_dict({key: value for key, value in old.state_dict().items() if key in new.state_dict()})
        if isinstance(old, BatchNormAct2d):
            _activate(new, old.act)
        setattr(parent, name, new)


def set_layer_norm_eps(model: nn.Module, eps: float) -> None:
    """Sets the eps of every layer normalisation; timm's constructors reach only some of them."""
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = eps


def _batch_norms(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.BatchNorm2d]]:
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                yield parent, name, child


class _Activated(nn.Module):
    """A normalisation with its activation inside, as in timm's mobile networks; the weights keep their names."""

    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


class _BatchNormAct(_Activated, nn.BatchNorm2d): ...


class _SyncBatchNormAct(_Activated, SyncBatchNorm2d): ...


class _GroupNormAct(_Activated, nn.GroupNorm): ...


class _LayerNormAct(_Activated, LayerNorm2d): ...


_ACTIVATED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm2d: _BatchNormAct,
    SyncBatchNorm2d: _SyncBatchNormAct,
    nn.GroupNorm: _GroupNormAct,
    LayerNorm2d: _LayerNormAct,
}


def _activate(norm: nn.Module, act: nn.Module) -> None:
    norm.__class__ = _ACTIVATED[type(norm)]  # the same object with one method more: its arguments need not be repeated
    norm.act = act
