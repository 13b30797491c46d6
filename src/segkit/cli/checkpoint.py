"""``segkit-checkpoint``: tells what checkpoints hold, and makes others of them."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from segkit.cli.arguments import is_override, require_checkpoint
from segkit.cli.errors import user_errors
from segkit.config.component import to_plain
from segkit.config.overrides import changes
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
    parser = argparse.ArgumentParser(prog="segkit-checkpoint", description="Describes and makes checkpoints.")
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
    _add_readers(commands)
    _add_makers(commands)
    return parser


def _add_readers(commands: Any) -> None:
    show = commands.add_parser("show", help="what a checkpoint holds")
    show.add_argument("checkpoint", metavar="CHECKPOINT")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--config", action="store_true", help="the configuration alone, as YAML that can be run again")
    form.add_argument("--json", action="store_true", help="everything but the values of the weights, as JSON")
    show.set_defaults(run=_show)
    diff = commands.add_parser(
        "diff",
        help="where two checkpoints differ",
        description="Compares configurations, classes, metrics and every tensor of two checkpoints. The exit code is 0 "
        "where they are the same, 1 where they are not.",
    )
    diff.add_argument("first", metavar="A")
    diff.add_argument("second", metavar="B")
    diff.add_argument("--all", action="store_true", help="every tensor that differs, not the first 20")
    diff.set_defaults(run=_diff)


def _add_makers(commands: Any) -> None:
    average = commands.add_parser(
        "average",
        help="the mean of several checkpoints' weights",
        description="Averages the weights of checkpoints of one model, with equal shares; their averages (ema) too, if "
        "all have one. Running statistics of batch normalisation are averaged alike, which is right for checkpoints "
        "of one run and an approximation for several runs.",
    )
    average.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    average.add_argument("--output", "-o", required=True, type=Path, metavar="FILE", help="where to write")
    average.set_defaults(run=_average)
    publish = commands.add_parser(
        "publish",
        help="weights to hand out, as safetensors",
        description="Writes NAME-HASH.safetensors: one set of weights, with configuration, classes and metrics as "
        "metadata, less the training's state and the names of folders. HASH is the first digits of its SHA-256. "
        "segkit-test, segkit-predict, segkit.load and trainer.init_from read it.",
    )
    publish.add_argument("checkpoint", metavar="CHECKPOINT")
    publish.add_argument("--output", "-o", type=Path, metavar="FOLDER", help="default: that of the checkpoint")
    publish.add_argument("--name", default="", help="default: that of the run")
    publish.add_argument(
        "--weights",
        choices=("auto", "model", "ema"),
        default="auto",
        help="the weights as trained, their average, or (default) those that trainer.monitor judged checkpoints by",
    )
    publish.set_defaults(run=_publish)


def _convert(args: argparse.Namespace) -> None:
    require_checkpoint(args.source)
    config = read_model_config(args.config, args.overrides, args.config_dir)
    from segkit.build import build_segmentor
    from segkit.checkpoint import write_checkpoint
    from segkit.cli.checkpoint_tables import model_name
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
    print(f"{args.output}: {len(state)} tensors of {model_name(payload['config'])}, {len(payload['classes'])} classes")


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

        return compose([config, *overrides], config_dir, training=False)
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
    from segkit.checkpoint import read_checkpoint
    from segkit.cli import checkpoint_tables

    payload = read_checkpoint(args.checkpoint)
    if args.config:
        from segkit.config.compose import dump_yaml

        print(dump_yaml(payload["config"]), end="")
    elif args.json:
        print(checkpoint_tables.as_json(payload))
    else:
        checkpoint_tables.print_facts(Path(args.checkpoint), payload)


def _diff(args: argparse.Namespace) -> None:
    for path in (args.first, args.second):
        require_checkpoint(path)
    from segkit.checkpoint import read_checkpoint
    from segkit.cli.checkpoint_tables import print_comparison
    from segkit.export.compare import compare

    found = compare(read_checkpoint(args.first), read_checkpoint(args.second))
    print_comparison(found, most=None if args.all else 20)
    if not found.is_empty:
        sys.exit(1)


def _average(args: argparse.Namespace) -> None:
    for path in args.checkpoints:
        require_checkpoint(path)
    from segkit.export.average import average_checkpoints

    payload = average_checkpoints([Path(path) for path in args.checkpoints], args.output)
    parts = "weights and averages (ema)" if payload["ema"] else "weights"
    print(f"{args.output}: the mean {parts} of {len(args.checkpoints)} checkpoints")
    print(f"evaluate it with: segkit-test {args.output}")
    if any(name.endswith("running_var") for name in payload["model"]):
        print("running statistics of batch normalisation are means, too: approximate, unless all are of one run")


def _publish(args: argparse.Namespace) -> None:
    require_checkpoint(args.checkpoint)
    from segkit.export.publish import publish

    folder = args.output or Path(args.checkpoint).parent
    target = publish(args.checkpoint, folder, weights=args.weights, name=args.name)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
