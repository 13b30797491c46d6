"""From a plain tree to the typed configuration, or all of its mistakes at once."""

import importlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from segkit.config.checks import cross_checks
from segkit.config.component import adapter
from segkit.config.problems import word_errors
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import ConfigError, Problem


def validate(tree: Mapping[str, Any], *, training: bool = True) -> SegmentorConfig:
    """Builds the configuration that ``tree`` describes.

    Args:
        tree: plain data.
        training: check what only a training needs, too.

    Raises:
        ConfigError: with every mistake, at its path.
    """
    load_plugins(tree.get("plugins") or ())
    try:
        config: SegmentorConfig = adapter(SegmentorConfig).validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError(word_errors(error.errors(), SegmentorConfig, tree)) from None
    problems = cross_checks(config, training=training)
    if problems:
        raise ConfigError(problems)
    return config


def load_plugins(modules: Any) -> None:
    """Imports the modules that register components of the user's own.

    Raises:
        ConfigError: if one cannot be imported.
    """
    if not isinstance(modules, (list, tuple)) or not all(isinstance(name, str) for name in modules):
        raise ConfigError([Problem("plugins", f"must be a list of module names (got {modules!r})")])
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise  # a broken plug-in keeps its traceback: its author needs it
            text = f"no module is called {name!r}; it must be importable (install it, or set PYTHONPATH)"
            raise ConfigError([Problem("plugins", text)]) from None
