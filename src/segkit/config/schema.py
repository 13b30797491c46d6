"""JSON Schema of every group, for editors: completion, help and checks while typing YAML."""

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

from segkit.config.component import CONFIGS, adapter
from segkit.config.docs import field_docs
from segkit.config.segmentor import SegmentorConfig
from segkit.config.store import options

Schema = dict[str, Any]


def experiment_schema() -> Schema:
    """Schema of an experiment file: the root, any part of it, and Hydra's defaults list."""
    return _file_schema("experiment", adapter(SegmentorConfig).json_schema())


def group_schema(group: str) -> Schema:
    """Schema of the YAML files of one group."""
    field: Any = get_type_hints(SegmentorConfig, include_extras=True)[group]
    return _file_schema(group, TypeAdapter(field).json_schema())


def schemas() -> dict[str, Schema]:
    """File name -> schema, for every group that has YAML files."""
    named = [f.name for f in dataclasses.fields(SegmentorConfig) if f.name != "plugins"]
    return {"experiment": experiment_schema(), **{name: group_schema(name) for name in named}}


def write_schemas(folder: Path) -> list[Path]:
    """Writes ``<group>.json`` for every group into ``folder``; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in schemas().items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _file_schema(group: str, schema: Schema) -> Schema:
    """A schema for a file that may state any part: nothing is required, and a defaults list is allowed."""
    definitions: Schema = {}
    inlined = schema.pop("$defs", {})
    top = _hoist({"anyOf": schema["anyOf"]} if "anyOf" in schema else schema, _classes(), inlined, definitions)
    choice = {"type": "array", "description": "Options to start from.", "examples": [[*options(group), "_self_"]]}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"segkit {group}"}
    return {**head, **_with_defaults(top, definitions), "$defs": {**definitions, "defaults": choice}}


def _with_defaults(node: Schema, definitions: Schema) -> Schema:
    """Adds ``defaults`` to the objects at the top of a file."""
    if "anyOf" in node:
        return {**node, "anyOf": [_with_defaults(option, definitions) for option in node["anyOf"]]}
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    return {**node, "properties": {"defaults": {"$ref": "#/$defs/defaults"}, **node.get("properties", {})}}


def _classes() -> dict[str, type]:
    """Every config dataclass by its name."""
    found: dict[str, type] = {"SegmentorConfig": SegmentorConfig}
    waiting = [SegmentorConfig, *(cls for group in CONFIGS.values() for cls in group.values())]
    while waiting:
        cls = waiting.pop()
        found[cls.__name__] = cls
        hints = get_type_hints(cls).values()
        parts = [part for hint in hints for part in (hint, *get_args(hint))]
        waiting += [p for p in parts if dataclasses.is_dataclass(p) and isinstance(p, type) and p.__name__ not in found]
    return found


def _hoist(node: Any, classes: dict[str, type], inlined: Schema, definitions: Schema) -> Any:
    """Moves each dataclass's schema to the definitions, with its fields' help, and drops what is required."""
    if isinstance(node, list):
        return [_hoist(item, classes, inlined, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and node["$ref"].rpartition("/")[2] in inlined:
        node = {**inlined[node["$ref"].rpartition("/")[2]], **{k: v for k, v in node.items() if k != "$ref"}}
    name = node.get("title")
    if name in classes and "properties" in node:
        if name not in definitions:
            definitions[name] = {}  # holds the place, should the class contain itself
            definitions[name] = _described(node, classes, inlined, definitions)
        return {"$ref": f"#/$defs/{name}"}
    return {key: _hoist(value, classes, inlined, definitions) for key, value in node.items()}


def _described(node: Schema, classes: dict[str, type], inlined: Schema, definitions: Schema) -> Schema:
    docs = field_docs(classes[node["title"]])
    fields = {}
    for name, field in node["properties"].items():
        made = _hoist({k: v for k, v in field.items() if k != "title"}, classes, inlined, definitions)
        fields[name] = {**made, "description": docs[name]} if name in docs else made
    kept = {key: value for key, value in node.items() if key not in ("required", "title", "properties")}
    return {**kept, "properties": fields}
