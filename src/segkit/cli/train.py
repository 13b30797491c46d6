"""``segkit-train``: composes, validates, and starts the training. Torch is imported when all of that has passed."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import main as hydra_main
from hydra._internal.utils import get_args_parser

from segkit.cli.errors import user_errors
from segkit.config import hydra_source, store
from segkit.config.component import to_plain
from segkit.config.compose import compose, dump_yaml, hydra_version
from segkit.config.segmentor import SegmentorConfig


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = get_args_parser().parse_args(arguments)
    with user_errors():
        if args.shell_completion or args.hydra_help or args.info or args.package or "--version" in arguments:
            _hand_to_hydra(arguments)
        elif args.multirun and not (args.help or args.cfg):
            from segkit.sweeps.multirun import run_sweep

            run_sweep(args.overrides, args.config_dir)
        elif args.help or args.cfg:
            find = _sweep if args.multirun else _config
            shown = find(args.overrides, args.config_dir)
            print(*(_help(args.config_dir) if args.help else ()), shown, sep="\n", end="")
        else:
            train(compose(args.overrides, args.config_dir))


def _config(overrides: Sequence[str], config_dir: str | None) -> str:
    return dump_yaml(to_plain(compose(overrides, config_dir)))


def _sweep(overrides: Sequence[str], config_dir: str | None) -> str:
    from segkit.sweeps.plan import list_jobs

    return list_jobs(overrides, config_dir)


_HELP = """\
segkit-train trains a segmentation model.

  segkit-train +experiment=quickstart                  # a small model on generated images, a few minutes
  segkit-train +experiment=pspnet_r101_ade20k scheduler.max_epochs=60 dataset.root=/data/ADE20k
  segkit-train -m +experiment=quickstart scheduler.optimizer.lr=0.001,0.002       # a sweep, one job after another
  segkit-train -m +experiment=quickstart scheduler.optimizer.lr=0.001,0.002 hydra/launcher=slurm    # on a cluster

Choose an option with group=option, set a field with path=value.
  --cfg job                the configuration that would be used, and nothing else; with -m that of every job
  --config-dir FOLDER      a folder with options of your own, laid out as segkit's conf/
  --multirun, -m           every combination of the values separated by commas
  --shell-completion       -sc install=bash prints what to evaluate for completion with Tab

segkit-config list [GROUP] lists options, segkit-config show COMPONENT explains its fields (slurm: the cluster's).
segkit-sweep tells how far the jobs of a sweep are.

Options:"""


def _help(config_dir: str | None) -> list[str]:
    folders = (Path(config_dir),) if config_dir else ()
    groups = [f"  {group}: {', '.join(sorted(store.options(group, folders)))}" for group in store.groups(folders)]
    return [_HELP, *groups, "\nConfiguration:"]


def train(config: SegmentorConfig) -> Any:
    """Trains, in this process or in several."""
    check_data(config)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch warns of each machine that no name server knows
    from segkit.engine.launch import train as start

    return start(config)


def check_data(config: SegmentorConfig) -> None:
    """Says at once, before torch is loaded, that there is no data.

    Raises:
        DatasetError: if the data set's folder does not exist.
    """
    config.dataset.require_root()


def _hand_to_hydra(arguments: Sequence[str]) -> None:
    """Help of Hydra and completion are Hydra's own."""
    hydra_source.register()
    sys.argv = [sys.argv[0], *arguments]
    hydra_main(config_path=str(store.conf_folder()), config_name="config", **hydra_version())(train)()


if __name__ == "__main__":
    main()
