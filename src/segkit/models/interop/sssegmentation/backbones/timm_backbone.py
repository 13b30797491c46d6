"""Any model of timm."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from segkit.config.backbones import TIMMBackboneConfig
from segkit.models.interop.sssegmentation.backbones.reading import Arguments, BackboneMap


def _read_timm(given: Arguments) -> dict[str, Any]:
    given.fixed(features_only=True)
    extra = dict(given.take("extra_args", {}))
    indices = extra.pop("out_indices", None)
    selected = given.take("selected_indices", None)
    if selected is not None:
        indices = [indices[i] if indices else i for i in selected]
    return given.common() | {
        "model_name": given.take("model_name", None),
        "output_stride": extra.pop("output_stride", None),
        "out_indices": None if indices is None else tuple(indices),
        "norm": given.norm(),
        "kwargs": extra,
    }


def _timm_names(names: Iterable[str], config: TIMMBackboneConfig) -> dict[str, str]:
    """Their feature extractor flattens the outermost Sequentials: ``stages_0`` is timm's ``stages.0``."""
    inner = {name: name.removeprefix("timm_model.") for name in names if name.startswith("timm_model.")}
    return {name: "model." + re.sub(r"^([a-z]+)_(\d+)\.", r"\1.\2.", rest) for name, rest in inner.items()}


MAPS: Mapping[str, BackboneMap] = {
    "TIMMBackbone": BackboneMap(TIMMBackboneConfig, _read_timm, _timm_names),
}
