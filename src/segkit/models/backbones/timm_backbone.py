"""Any model of timm as a backbone."""

from typing import Any

import timm

from segkit.config.backbones import TIMMBackboneConfig
from segkit.config.spelling import hint
from segkit.errors import ConfigError, Problem
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.registry import BACKBONES


@BACKBONES.register(TIMMBackboneConfig)
class TIMMBackbone(TimmBackbone):
    """A timm model by name; images may have any size that its patches allow.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: the feature maps ``out_indices`` that timm lists for the model.
    """

    keeps_norm_numbers = True  # each family has its own eps, and its weights depend on it

    def __init__(self, config: TIMMBackboneConfig) -> None:
        name, _, tag = config.model_name.partition(".")
        if not timm.is_model(name):
            message = f"timm has no model {name!r}{hint(name, timm.list_models())}"
            raise ConfigError([Problem("backbone.model_name", message)])
        kwargs = dict(config.kwargs)
        if config.output_stride is not None:
            kwargs["output_stride"] = config.output_stride
        try:
            model = create_model(config, name, tag or _default_tag(name), _any_size, **kwargs)
        except (TypeError, AssertionError, NotImplementedError) as error:
            message = f"{name} cannot be built with these arguments ({error})"
            raise ConfigError([Problem("backbone.kwargs", message)]) from error
        if not hasattr(model, "prune_intermediate_layers"):
            raise ConfigError([Problem("backbone.model_name", f"{name} returns no feature maps")])
        super().__init__(config, model, _taps(config, len(model.feature_info)))


def _any_size(name: str, **kwargs: Any) -> Any:
    """Timm's factory; transformers that know how to take images of any size are told to."""
    try:
        return timm.create_model(name, dynamic_img_size=True, **kwargs)
    except TypeError as error:
        if "dynamic_img_size" not in str(error):
            raise
        return timm.create_model(name, **kwargs)


def _default_tag(name: str) -> str | None:
    known = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return known.tag if known is not None and known.has_weights else None


def _taps(config: TIMMBackboneConfig, count: int) -> list[int]:
    wanted = range(count) if config.out_indices is None else config.out_indices
    if any(not -count <= index < count for index in wanted):
        message = f"must be from {-count} to {count - 1}, as {config.model_name} has {count} feature maps"
        raise ConfigError([Problem("backbone.out_indices", f"{message} (got {list(wanted)})")])
    return [index % count for index in wanted]
