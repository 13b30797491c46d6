"""Tables from config class to component, filled by importing a package at the first look-up."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from segkit.config.component import CONFIGS, type_name

T = TypeVar("T", bound=type)


class Registry:
    """The components of one kind.

    Args:
        group: the config group, as in ``backbone``.
        package: the package whose modules register the components.
    """

    def __init__(self, group: str, package: str) -> None:
        self.group = group
        self.package = package
        self._classes: dict[type, type] = {}
        self._filled = False

    def register(self, config: type) -> Callable[[T], T]:
        """Class decorator: the component that ``config`` describes."""

        def add(cls: T) -> T:
            self._classes[config] = cls
            return cls

        return add

    def names(self) -> list[str]:
        """Type names of all registered components, sorted."""
        self._fill()
        return sorted(type_name(config) for config in self._classes)

    def config(self, name: str) -> type:
        """The config class called ``name``."""
        return CONFIGS[self.group][name]

    def component(self, config: Any) -> type:
        """The class of the component that ``config`` describes."""
        self._fill()
        return self._classes[type(config)]

    def build(self, config: Any, *args: Any, **kwargs: Any) -> Any:
        """Builds the component that ``config`` describes; further arguments are passed on."""
        return self.component(config)(config, *args, **kwargs)

    def _fill(self) -> None:
        if self._filled:
            return
        package = importlib.import_module(self.package)
        for module in pkgutil.walk_packages(package.__path__, f"{self.package}."):
            importlib.import_module(module.name)
        self._filled = True


BACKBONES = Registry("backbone", "segkit.models.backbones")
NECKS = Registry("head/neck", "segkit.models.necks")
HEADS = Registry("head", "segkit.models.heads")
LOSSES = Registry("loss", "segkit.losses")
DATASETS = Registry("dataset", "segkit.data.datasets")
TRANSFORMS = Registry("transform", "segkit.data.transforms")
BATCH_TRANSFORMS = Registry("batch_transform", "segkit.data.batch_transforms")
SCHEDULERS = Registry("scheduler", "segkit.optim")
