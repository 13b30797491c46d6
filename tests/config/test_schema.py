"""The JSON Schemas: current, and true of every YAML file."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from segkit.config import store
from segkit.config.component import CONFIGS
from segkit.config.docs import field_docs, type_text
from segkit.config.schema import _classes, schemas

FOLDER = store.conf_folder()
FILES = sorted(path for path in FOLDER.glob("*/*.yaml"))


def test_the_written_schemas_are_current(tmp_path: Path) -> None:
    # A process of its own: here, other tests may have registered components as a user would.
    subprocess.run([sys.executable, "-m", "segkit.cli.config", "schema", "--write", str(tmp_path)], check=True)
    written, current = (
        {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
        for folder in (FOLDER / ".schema", tmp_path)
    )
    assert written == current, "run `make schema`"


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_file_names_its_schema_and_keeps_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    schema = FOLDER / ".schema" / f"{path.parent.name}.json"
    assert f"$schema=../.schema/{schema.name}" in text
    jsonschema.validate(yaml.safe_load(text), json.loads(schema.read_text(encoding="utf-8")))


def test_a_typo_is_caught_by_the_schema() -> None:
    schema = schemas()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"head": {"chanels": 3}}, schema["experiment"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"defaults": ["PSPNet", "_self_"], "channels": "x"}, schema["head"])


@pytest.mark.parametrize("name", sorted(_classes()))
def test_every_field_has_its_help(name: str) -> None:
    cls = _classes()[name]
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{name}(")
    docs = field_docs(cls)
    assert [f.name for f in dataclasses.fields(cls) if f.name != "type" and f.name not in docs] == []


def test_types_read_like_yaml() -> None:
    hints = {"channels": "int > 0", "pool_scales": "[int > 0, ...]", "dropout": "float >= 0, < 1"}
    from typing import get_type_hints

    found = get_type_hints(CONFIGS["head"]["PSPNet"], include_extras=True)
    assert {key: type_text(found[key]) for key in hints} == hints
