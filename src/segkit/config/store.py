"""Hands the dataclasses' defaults to Hydra, so that every component is an option and every field can be set."""

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

import segkit
from segkit.config.component import CONFIGS, plain_defaults, to_plain
from segkit.config.launcher import SlurmConfig
from segkit.config.segmentor import SegmentorConfig

STRUCTURES = ("dataloader", "amp", "ema", "inference", "trainer", "logger")
"""Root keys that are one dataclass; their defaults are the option ``default``."""

SLURM_LAUNCHER = "hydra_plugins.segkit.SlurmLauncher"
"""Hydra takes launchers of this package alone; there is no such module, as the class is registered by hand."""


_NAMED = {"transform", "batch_transform"}
"""Groups whose components are named in YAML, several at a time, and not chosen."""


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
    named = set(CONFIGS) - _NAMED | set(STRUCTURES)
    for folder in (conf_folder(), *folders):
        named |= {str(p.parent.relative_to(folder)) for p in folder.rglob("*.yaml")} - {"."}
    return sorted(name for name in named if not name.startswith("hydra"))


def store_defaults() -> None:
    """Puts the defaults of every component into Hydra's ConfigStore, plug-in ones included."""
    for group, classes in CONFIGS.items():
        for name, cls in classes.items() if group not in _NAMED else ():
            _store(group, name, cls)
    for field in dataclasses.fields(SegmentorConfig):
        if field.name in STRUCTURES:
            structure: Any = type(field.default)
            _store(field.name, "default", structure)
    _store_slurm()


@cache
def _store(group: str, name: str, cls: type) -> None:  # once each: Hydra 1.4 warns when an option is stored again
    ConfigStore.instance().store(group=group, name=name, node=defaults_of(cls), provider="segkit")


@cache
def _store_slurm() -> None:
    node = OmegaConf.create({"_target_": SLURM_LAUNCHER, **to_plain(SlurmConfig())})
    node.sbatch = OmegaConf.create({}, flags={"struct": False})  # takes any parameter
    ConfigStore.instance().store(group="hydra/launcher", name="SlurmConfig", node=node, provider="segkit")


def defaults_of(cls: type) -> dict[str, Any]:
    """A component's defaults as plain data; groups that nest below it are left to their own options."""
    group = getattr(cls, "group", None)
    nested = {name.rpartition("/")[2] for name in CONFIGS if group and name.startswith(f"{group}/")}
    return {key: value for key, value in plain_defaults(cls).items() if key not in nested}
