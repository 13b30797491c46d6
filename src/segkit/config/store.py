"""Hands the dataclasses' defaults to Hydra, so that every component is an option and every field can be set."""

import dataclasses
from pathlib import Path
from typing import Any

import segkit
from segkit.config.component import CONFIGS, to_plain
from segkit.config.segmentor import SegmentorConfig

STRUCTURES = ("dataloader", "amp", "ema", "inference", "trainer", "logger")
"""Root keys that are one dataclass; their defaults are the option ``default``."""


def conf_folder() -> Path:
    """Where the YAML groups are: inside the installed package, or at the top of a checkout."""
    package = Path(segkit.__file__).parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


def options(group: str, folders: tuple[Path, ...] = ()) -> dict[str, str]:
    """Option name -> where it comes from ("component", or a YAML file), for one group."""
    found = dict.fromkeys(CONFIGS.get(group, ()), "component")
    if group in STRUCTURES:
        found["default"] = "component"
    for folder in (conf_folder(), *folders):
        found |= {path.stem: str(path) for path in sorted((folder / group).glob("*.yaml"))}
    return found


def groups(folders: tuple[Path, ...] = ()) -> list[str]:
    """Names of all groups that have options."""
    named = set(CONFIGS) - {"transform"} | set(STRUCTURES)
    for folder in (conf_folder(), *folders):
        named |= {str(p.parent.relative_to(folder)) for p in folder.rglob("*.yaml")} - {"."}
    return sorted(name for name in named if not name.startswith("hydra"))


def store_defaults() -> None:
    """Puts the defaults of every component into Hydra's ConfigStore, plug-in ones included."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    for group, classes in CONFIGS.items():
        for name, cls in classes.items() if group != "transform" else ():  # steps are named in YAML, not chosen
            store.store(group=group, name=name, node=defaults_of(cls), provider="segkit")
    root = {f.name: f.default for f in dataclasses.fields(SegmentorConfig)}
    for name in STRUCTURES:
        store.store(group=name, name="default", node=to_plain(root[name]), provider="segkit")


def defaults_of(cls: type) -> dict[str, Any]:
    """A component's defaults as plain data; groups that nest below it are left to their own options."""
    nested = {group.rpartition("/")[2] for group in CONFIGS if "/" in group and group.startswith(f"{cls.group}/")}  # type: ignore[attr-defined]
    plain: dict[str, Any] = to_plain(cls())
    return {key: value for key, value in plain.items() if key not in nested}
