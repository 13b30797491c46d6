"""One word, five places: the type, its config, its class, its file, its test id."""

import importlib
import inspect

import pytest

from segkit import registry
from segkit.config.component import CONFIGS, type_name
from segkit.data.datasets.base import FileDataset

REGISTRIES = [value for value in vars(registry).values() if isinstance(value, registry.Registry)]
OWN = {
    table.group: [name for name in table.names() if table.config(name).__module__.startswith("segkit.")]
    for table in REGISTRIES
}
"""Ours: other tests register components as a user would."""
COMPONENTS = [
    pytest.param(table, name, id=f"{table.group}/{name}") for table in REGISTRIES for name in OWN[table.group]
]


@pytest.mark.parametrize(("table", "name"), COMPONENTS)
def test_a_component_is_called_as_its_type(table: registry.Registry, name: str) -> None:
    config = table.config(name)
    cls = table.component(config())
    assert config.__name__.lower() == f"{name}Config".lower()  # classes begin with a capital, iSAIDDataset does not
    assert type_name(config) == name
    # Published data sets are rows of a table: one class reads most of them.
    assert cls.__name__ == name or (table.group == "dataset" and issubclass(cls, FileDataset))
    assert f"segkit.{'models.' if table.group in ('backbone', 'head') else ''}" in cls.__module__
    assert inspect.getdoc(cls)


@pytest.mark.parametrize("table", REGISTRIES, ids=lambda table: table.group)
def test_every_config_has_its_component(table: registry.Registry) -> None:
    assert set(CONFIGS[table.group]) <= set(table.names())


def test_packages_import() -> None:
    for table in REGISTRIES:
        assert importlib.import_module(table.package)
