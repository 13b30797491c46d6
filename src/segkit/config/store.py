"""Which options each group has: the components, and the YAML files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import segkit
from segkit.config.component import CONFIGS, plain_defaults
from segkit.config.segmentor import SegmentorConfig

STRUCTURES = ("dataloader", "amp", "ema", "inference", "trainer", "logger")
"""Root keys that are one dataclass; their defaults are the option ``default``."""

_NAMED = {"transform", "batch_transform"}
"""Groups whose components are named in YAML, several at a time, and not chosen."""


def conf_folder() -> Path:
    """Where the YAML groups are: inside the installed package, or at the top of a checkout."""
    package = Path(segkit.__file__).parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


def options(group: str, folders: tuple[Path, ...] = ()) -> dict[str, str]:
    """Option name -> where it comes from ("component", or a YAML file), for one group."""
    found = dict.fromkeys(components(group), "component")
    for folder in (conf_folder(), *folders):
        found |= {path.stem: str(path) for path in sorted((folder / group).glob("*.yaml"))}
    return found


def groups(folders: tuple[Path, ...] = ()) -> list[str]:
    """Names of all groups that have options."""
    named = set(component_groups())
    for folder in (conf_folder(), *folders):
        named |= {str(p.parent.relative_to(folder)) for p in folder.rglob("*.yaml")} - {"."}
    return sorted(name for name in named if not name.startswith("hydra"))


def component_groups() -> list[str]:
    """Groups whose options are dataclasses."""
    return [*(group for group in CONFIGS if group not in _NAMED), *STRUCTURES]


def components(group: str) -> Mapping[str, type]:
    """Option name -> dataclass, for one group; plug-in ones included."""
    if group in STRUCTURES:
        return {"default": type(SegmentorConfig.__dataclass_fields__[group].default)}
    return {} if group in _NAMED else CONFIGS.get(group, {})


def defaults_of(cls: type) -> dict[str, Any]:
    """A component's defaults as plain data; groups that nest below it are left to their own options."""
    group = getattr(cls, "group", None)
    nested = {name.rpartition("/")[2] for name in CONFIGS if group and name.startswith(f"{group}/")}
    return {key: value for key, value in plain_defaults(cls).items() if key not in nested}
