"""HRNet."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from segkit.config.backbones import HRNetConfig
from segkit.models.interop.sssegmentation.backbones.reading import DROPPED, Arguments, BackboneMap

_MODULES = re.compile(r"(conv[12]|bn[12]|layer1|transition[123]|stage[234])\.")
_LAST_EXCHANGE = re.compile(r"stage4\.(\d+)\.fuse_layers\.(\d+)\.")


def _read_hrnet(given: Arguments) -> dict[str, Any]:
    given.fixed_act("ReLU")
    arch = given.take("arch", "hrnetv2_w18_small")
    width, _, small = arch.removeprefix("hrnetv2_w").partition("_")
    returned = 0 if given.take("multiscale_output", True) else 1
    selected = given.take("selected_indices", (0, 0, 0, 0))
    return given.common() | {
        "width": int(width),
        "small": small == "small",
        "stem_act": not given.take("mcibi_version", False),
        "out_indices": (returned,) * len(selected),  # they have one map, which a segmentor may select several times
        "norm": given.norm(),
    }


def _hrnet_names(names: Iterable[str], config: HRNetConfig) -> dict[str, str]:
    """Theirs are timm's; the last exchange is left out where nobody listens."""
    renamed = {name: f"model.{name}" for name in names if _MODULES.match(name)}
    exchanges = {name: match for name in renamed if (match := _LAST_EXCHANGE.match(name))}
    last = max((int(match[1]) for match in exchanges.values()), default=0)
    for name, match in exchanges.items():
        if 0 not in config.out_indices and int(match[1]) == last and int(match[2]) + 1 not in config.out_indices:
            renamed[name] = f"{DROPPED}.{name}"
    return renamed


MAPS: Mapping[str, BackboneMap] = {"HRNet": BackboneMap(HRNetConfig, _read_hrnet, _hrnet_names)}
