"""``segkit-checkpoint``: converts checkpoints of SSSegmentation, and tells what a checkpoint of segkit holds."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from segkit.cli.arguments import changes, is_override, require_checkpoint
from segkit.cli.errors import user_errors
from segkit.config.component import to_plain
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import ConfigError, Problem


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    if rest and not (args.run is _convert and all(map(is_override, rest))):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # argparse ends a list of positionals at the first option
        args.overrides += rest
    with user_errors():
        args.run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="segkit-checkpoint", description="Converts and describes checkpoints.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    convert = commands.add_parser(
        "convert",
        help="a checkpoint of SSSegmentation to one of segkit",
        description="Renames the weights of an SSSegmentation checkpoint, so that segkit-test, segkit-predict, "
        "segkit.load and trainer.init_from read them. Nothing is written unless every name and shape fits.",
    )
    convert.add_argument("source", metavar="SOURCE", help="their file; only tensors and plain data are read")
    convert.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes of the configuration")
    convert.add_argument(
        "--config",
        required=True,
        metavar="CONFIG",
        help="the same model in our words: a run's config.yaml, or +experiment=NAME",
    )
    convert.add_argument("--output", "-o", required=True, type=Path, metavar="FILE", help="where to write")
    convert.add_argument(
        "--weights", choices=("model", "ema"), default="model", help="those trained (default), or their average"
    )
    convert.add_argument("--config-dir", help="a folder with options of your own")
    convert.set_defaults(run=_convert)
    show = commands.add_parser("show", help="what a checkpoint of segkit holds")
    show.add_argument("checkpoint", metavar="CHECKPOINT")
    show.set_defaults(run=_show)
    return parser


def _convert(args: argparse.Namespace) -> None:
    require_checkpoint(args.source)
    config = read_model_config(args.config, args.overrides, args.config_dir)
    from segkit.build import build_segmentor
    from segkit.checkpoint import write_checkpoint
    from segkit.models.interop import convert_checkpoint

    expected = build_segmentor(replace(config, backbone=_from_nothing(config.backbone))).state_dict()
    state = convert_checkpoint(args.source, config, weights=args.weights, expected=expected)
    payload = {
        "config": to_plain(config),
        "classes": list(config.dataset.classes),
        "palette": [list(color) for color in config.dataset.palette],
        "label_values": {},  # only the data itself tells them
        "metrics": {},
        "model": {name: value.clone() for name, value in state.items()},  # of a view, the whole storage would be kept
        "ema": None,
        "source": {"toolkit": "SSSegmentation", "file": str(args.source), "weights": args.weights},
    }
    write_checkpoint(args.output, payload)
    print(f"{args.output}: {len(state)} tensors of {_model_name(payload['config'])}, {len(payload['classes'])} classes")


def read_model_config(config: str, overrides: Sequence[str], config_dir: str | None = None) -> SegmentorConfig:
    """The configuration that ``--config`` and the changes after it describe.

    Args:
        config: a YAML file with a whole configuration, or an override to begin with, such as ``+experiment=NAME``.
        overrides: ``key=value`` each.
        config_dir: a folder with options of the user's own.

    Raises:
        ConfigError: with every mistake, at its path.
    """
    path = Path(config)
    if not path.is_file() and "=" in config:
        from segkit.config.compose import compose

        return compose([config, *overrides], config_dir)
    import yaml

    from segkit.config.validate import validate

    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        text = f"cannot read {config} ({error}); a YAML file or +experiment=NAME"
        raise ConfigError([Problem("--config", text)]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Problem("--config", f"{config} is no YAML: {' '.join(str(error).split())}")]) from None
    if not isinstance(tree, dict):
        raise ConfigError([Problem("--config", f"{config} holds no configuration")])
    changes(overrides, allowed=None)(tree)
    return validate(tree, training=False)


def _from_nothing(config: Any) -> Any:
    """The same backbone, and those within it, without first weights: they would be fetched only to be replaced."""
    nested = {f.name: getattr(config, f.name) for f in fields(config) if is_dataclass(getattr(config, f.name))}
    changed: dict[str, Any] = {name: _from_nothing(value) for name, value in nested.items()}
    if "pretrained" in config.__dataclass_fields__:
        changed |= {"pretrained": False, "weights": None}
    return replace(config, **changed)


def _show(args: argparse.Namespace) -> None:
    require_checkpoint(args.checkpoint)
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from segkit.checkpoint import read_checkpoint

    table = Table("part", "what it holds", title=escape(str(args.checkpoint)))
    for name, words in _describe(read_checkpoint(args.checkpoint)).items():
        table.add_row(name, escape(words))
    Console().print(table)


def _describe(payload: Mapping[str, Any]) -> dict[str, str]:
    config, classes = payload["config"], payload["classes"]
    progress, source = payload.get("progress"), payload.get("source")
    weights = list(payload["model"].values())
    count = sum(value.numel() for value in weights)
    lines = {
        "name": str((config.get("trainer") or {}).get("name") or "(none)"),
        "model": _model_name(config),
        "data": f"{_type(config.get('dataset'))}, {len(classes)} classes: {', '.join(classes[:8])}"
        + (", ..." if len(classes) > 8 else ""),
        "weights": f"{count / 1e6:.2f} M values in {len(weights)} tensors",
        "average (ema)": "yes" if payload.get("ema") else "no",
        "to go on from": "yes" if payload.get("optimizer") else "no, weights alone; use trainer.init_from",
    }
    if progress:
        epoch = progress["step"] // payload["steps_per_epoch"]
        lines["progress"] = f"step {progress['step']}, {epoch} epochs of {payload['steps_per_epoch']} steps"
    if source:
        lines["converted from"] = f"{source['toolkit']}, {source['weights']} of {source['file']}"
    if metrics := payload.get("metrics"):
        lines["metrics"] = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    return lines


def _model_name(config: Mapping[str, Any]) -> str:
    auxiliary = config.get("auxiliary") or {}
    extra = f", auxiliary {', '.join(auxiliary)}" if auxiliary else ""
    return f"{_type(config.get('head'))} on {_type(config.get('backbone'))}{extra}"


def _type(part: Any) -> str:
    return str(part.get("type", "?")) if isinstance(part, Mapping) else "?"


if __name__ == "__main__":
    main()
