"""Backbones of SSSegmentation: arguments and parameter names; one family a file, each with a table ``MAPS``."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import Tensor

from segkit.config.backbones import BackboneConfig
from segkit.config.spelling import hint
from segkit.errors import CheckpointError, ConfigError, Problem, some_of
from segkit.models.interop.sssegmentation.backbones.reading import DROPPED, Arguments, BackboneMap

__all__ = ["backbone_config", "backbone_maps", "backbone_state"]


@cache
def backbone_maps() -> Mapping[str, BackboneMap]:
    """Their backbones that we have, by their names."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {name: entry for module in modules for name, entry in getattr(module, "MAPS", {}).items()}


def backbone_config(facts: Mapping[str, Any]) -> BackboneConfig:
    """Our config of the backbone that ``facts["backbone"]`` describes in their names.

    ``selected_indices``, which tells their segmentors what to read, becomes part of ``out_indices``.

    Raises:
        ConfigError: for a backbone or an argument that has no counterpart here.
    """
    arguments = dict(facts["backbone"])
    name = arguments.pop("type")
    maps = backbone_maps()
    if name not in maps:
        text = f"no backbone here is {name}{hint(name, maps)}; one of {', '.join(maps)}"
        raise ConfigError([Problem("backbone.type", text)])
    reader = Arguments(arguments)
    fields = maps[name].read(reader)
    reader.finish()
    return maps[name].config(**fields)


def backbone_state(state: Mapping[str, Tensor], config: BackboneConfig) -> dict[str, Tensor]:
    """Their backbone's tensors under our names; what the config cuts off, and buffers we compute, are left out.

    Args:
        state: their backbone's state_dict, without the segmentor's prefix.
        config: ours, of the same backbone.

    Raises:
        CheckpointError: that lists the names that have no counterpart.
    """
    entry = next(entry for entry in backbone_maps().values() if entry.config is type(config))
    renamed = entry.rename(state, config)
    unknown = [name for name in state if name not in renamed]
    if unknown:
        raise CheckpointError(f"not of this {entry.config.__name__}: {some_of(unknown, 8)}")
    ours: dict[str, Tensor] = {}
    for theirs, name in renamed.items():
        if not name.startswith(f"{DROPPED}."):
            ours.update(entry.transform(name, state[theirs]))
    return ours
