"""The normalisation and activation that a configuration names, handed to every layer while a model is built.

A ContextVar rather than an argument: else each head and block would pass two configs through all of its parts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from segkit.config.layers import ActConfig, BatchNorm2dConfig, NormConfig, ReLUConfig


class LayerDefaults(NamedTuple):
    """What a layer uses that names neither."""

    norm: NormConfig
    act: ActConfig


_PLAIN = LayerDefaults(BatchNorm2dConfig(), ReLUConfig())
_DEFAULTS = ContextVar("layer_defaults", default=_PLAIN)


def current_defaults() -> LayerDefaults:
    """The choice in force; BatchNorm2d and ReLU where nothing was chosen."""
    return _DEFAULTS.get()


@contextmanager
def layer_defaults(norm: NormConfig | None = None, act: ActConfig | None = None) -> Iterator[None]:
    """Layers built inside use ``norm`` and ``act``; None keeps the choice in force."""
    outer = _DEFAULTS.get()
    token = _DEFAULTS.set(LayerDefaults(norm or outer.norm, act or outer.act))
    try:
        yield
    finally:
        _DEFAULTS.reset(token)
