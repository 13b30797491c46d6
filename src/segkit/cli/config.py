"""``segkit-config``: lists options, explains components, prints the JSON Schema."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from segkit.cli.errors import user_errors
from segkit.cli.model_table import COLUMNS, measured, shipped_table
from segkit.config import store
from segkit.config.component import CONFIGS, to_plain
from segkit.config.dataset_docs import dataset_lines, published, renew
from segkit.config.docs import class_section, field_docs, paper, summary, type_text
from segkit.config.launcher import SlurmConfig
from segkit.config.schema import schemas, write_schemas
from segkit.config.segmentor import SegmentorConfig
from segkit.config.spelling import hint
from segkit.config.validate import load_plugins
from segkit.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    args = _parser().parse_args(argv)
    with user_errors():
        load_plugins(args.plugins)
        args.run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="segkit-config", description="What can be configured, and how.")
    parser.add_argument(
        "--plugins", nargs="+", default=[], metavar="MODULE", help="modules with components of your own"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="options of a group, or of all groups")
    listing.add_argument("group", nargs="?")
    listing.add_argument("--config-dir", type=Path, help="a folder with options of your own")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="fields, types, defaults and help of a component")
    show.add_argument("component", help="a type (PSPNet), a root key (trainer), or a part of one (scheduler.warmup)")
    show.set_defaults(run=_show)
    data = commands.add_parser("datasets", help="published data sets: splits, files, labels, submissions")
    data.add_argument("--write", type=Path, metavar="PAGE", help="renew the table of a Markdown page")
    data.set_defaults(run=_datasets)
    schema = commands.add_parser("schema", help="JSON Schema of the YAML files, for editors")
    schema.add_argument("group", nargs="?", default="experiment")
    schema.add_argument("--write", type=Path, metavar="FOLDER", help="write the schema of every group into a folder")
    schema.set_defaults(run=_schema)
    return parser


def _list(args: argparse.Namespace) -> None:
    folders = (args.config_dir,) if args.config_dir else ()
    known = store.groups(folders)
    if args.group is not None and args.group not in known:
        raise ConfigError(f"no group is called {args.group!r}{hint(args.group, known)}; groups: {', '.join(known)}")
    table = Table("group", "option", "what it is", title="Options: group=option on the command line")
    for group in [args.group] if args.group else known:
        for name, origin in sorted(store.options(group, folders).items()):
            table.add_row(group, name, escape(_what(group, name, origin)))
        table.add_section()
    Console().print(table)


def _what(group: str, name: str, origin: str) -> str:
    """The docstring of a component, or the first words of a YAML file."""
    if origin == "component":
        return summary(CONFIGS[group][name]) if name in CONFIGS.get(group, ()) else "the defaults"
    lines = Path(origin).read_text(encoding="utf-8").splitlines()
    comments = [line.lstrip("# ") for line in lines if line.startswith("#") and "$schema" not in line]
    words = [line for line in comments if not line.startswith("@package")]
    return words[0] if words else next((line for line in lines if line.startswith("defaults")), "")


def _show(args: argparse.Namespace) -> None:
    for path, cls in _find(args.component):
        table = Table("field", "type", "default", "what it does", title=f"{path}: {summary(cls)}", show_lines=True)
        docs, hints = field_docs(cls), get_type_hints(cls, include_extras=True)
        fields = sorted(dataclasses.fields(cls), key=lambda field: field.name != "type")
        for field in fields:
            default = "(required)" if field.default is dataclasses.MISSING else json.dumps(to_plain(field.default))
            if field.default_factory is not dataclasses.MISSING:
                default = json.dumps(to_plain(field.default_factory()))
            words = (field.name, type_text(hints[field.name]), default, docs.get(field.name, ""))
            table.add_row(*(escape(word) for word in words))
        console = Console()
        console.print(table)
        for line in _facts(path, cls):
            console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _datasets(args: argparse.Namespace) -> None:
    if args.write is None:
        for name, config in published().items():
            print("\n  ".join([f"{name}: {summary(type(config))}", *dataset_lines(config)]))
        return
    try:
        args.write.write_text(renew(args.write.read_text(encoding="utf-8")), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{args.write}: cannot be renewed ({error.strerror})") from None


def _facts(path: str, cls: type) -> list[str]:
    """Paper, output and what was measured of a head, a neck or a backbone; what is known of a data set."""
    group, _, name = path.partition("=")
    if group == "dataset":
        return dataset_lines(cls())
    lines = [f"paper:  {text}"] if (text := paper(cls)) else []
    if group not in ("head", "backbone"):
        return lines + _measured(group, name)
    output = class_section(f"segkit.models.{group}s", name, "Output")
    config = None if any(map(_is_required, dataclasses.fields(cls))) else cls()
    extra = [f"{key} (factor {weight:g})" for key, weight in getattr(config, "output_weights", {}).items()]
    strides = getattr(config, "strides", ())
    lines += [f"output: {output}"] if output else []
    lines += [f"trained outputs: {', '.join(extra)}"] if extra[1:] else []
    lines += [f"strides of the features: {', '.join(map(str, strides))}"] if strides else []
    return lines + _measured(group, name)


def _measured(group: str, name: str) -> list[str]:
    """A model's lines of the table of models."""
    told = []
    for title, cells in measured(group, name).items():
        told.append(f"measured of {title}:")
        told += [f"  {COLUMNS[column]}: {cell}" for column, cell in cells.items() if column != "paper"]
    return [*told, f"what this means, and other models: {shipped_table()}"] if told else []


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _find(name: str) -> list[tuple[str, type]]:
    """Config path and class of what ``name`` may mean.

    Raises:
        ConfigError: if nothing is called so.
    """
    found = [(f"{group}={name}", options[name]) for group, options in CONFIGS.items() if name in options]
    found += [("hydra/launcher=slurm", SlurmConfig)] if name in ("slurm", "SlurmConfig") else []
    if found:
        return found
    cls: type = SegmentorConfig
    for key in name.split(".") if name != "segmentor" else ():
        value = next((f.default for f in dataclasses.fields(cls) if f.name == key), None)
        if not dataclasses.is_dataclass(value):
            known = [n for options in CONFIGS.values() for n in options] + list(SegmentorConfig.__dataclass_fields__)
            raise ConfigError(f"nothing is called {name!r}{hint(name, known)}; segkit-config list shows all options")
        cls = type(value)
    return [(name, cls)]


def _schema(args: argparse.Namespace) -> None:
    if args.write:
        for path in write_schemas(args.write):
            print(path)
        return
    known = schemas()
    if args.group not in known:
        raise ConfigError(f"no group is called {args.group!r}{hint(args.group, known)}; groups: {', '.join(known)}")
    print(json.dumps(known[args.group], indent=1))


if __name__ == "__main__":
    main()
