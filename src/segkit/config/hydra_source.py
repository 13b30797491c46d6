"""Lets Hydra find the dataclasses' defaults: a config source that makes an option when it is asked for.

Hydra's ConfigStore would hold all of them, and copies itself for each composition: with 140 components that was a
quarter of a command's start.
"""

from functools import cache

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from segkit.config import store
from segkit.config.component import to_plain
from segkit.config.launcher import SlurmConfig

SLURM_LAUNCHER = "hydra_plugins.segkit.SlurmLauncher"
"""Hydra takes launchers of this package alone; there is no such module, as the class is registered by hand."""

_SCHEME = "segkit"


class ComponentSource(ConfigSource):
    """The components of every group and the defaults of the root's structures, plug-in ones included."""

    @staticmethod
    def scheme() -> str:
        return _SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        group, name = _split(config_path)
        node = OmegaConf.create(store.defaults_of(store.components(group)[name]))
        return ConfigResult(self.provider, self.full_path(), node, header={"package": None})

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        below = config_path.rstrip("/") + "/"
        return any(f"{group}/".startswith(below) for group in store.component_groups())

    def is_config(self, config_path: str) -> bool:
        group, name = _split(config_path)
        return name in store.components(group)

    def list(self, config_path: str, results_filter: ObjectType | None) -> "list[str]":
        below = f"{config_path}/" if config_path else ""
        deeper = {group.removeprefix(below) for group in store.component_groups() if group.startswith(below)}
        groups = [] if results_filter is ObjectType.CONFIG else [name.partition("/")[0] for name in deeper]
        names = [] if results_filter is ObjectType.GROUP else [*store.components(config_path)]
        return sorted({*groups, *names})


class ComponentPath(SearchPathPlugin):
    """Puts the components behind all folders: a YAML file of the same name takes precedence."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("segkit", f"{_SCHEME}://")


def _split(config_path: str) -> tuple[str, str]:
    group, _, name = config_path.rpartition("/")
    return group, name.removesuffix(".yaml")


@cache
def register() -> None:
    """Makes these and the launcher for SLURM known to Hydra, which has no entry points for plug-ins."""
    Plugins.instance().register(ComponentSource)
    Plugins.instance().register(ComponentPath)
    slurm = OmegaConf.create({"_target_": SLURM_LAUNCHER, **to_plain(SlurmConfig())})
    slurm.sbatch = OmegaConf.create({}, flags={"struct": False})  # takes any parameter
    ConfigStore.instance().store(group="hydra/launcher", name="SlurmConfig", node=slurm, provider="segkit")
