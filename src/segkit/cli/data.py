"""``segkit-data``: gets data sets, looks at them, and makes one of your own folder."""

import argparse
from collections.abc import Sequence

from segkit.cli import data_check, data_init, data_inspect, data_prepare
from segkit.cli.errors import user_errors

_COMMANDS = {
    "prepare": (data_prepare, "download, unpack and convert a published data set"),
    "check": (data_check, "look through every image and label for mistakes"),
    "inspect": (data_inspect, "figures, class weights, and a page of augmented samples"),
    "init": (data_init, "turn a folder of images and masks into a data set and an experiment"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    parser = argparse.ArgumentParser(prog="segkit-data", description="Data sets: to get, to check, to make.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, what) in _COMMANDS.items():
        command = commands.add_parser(name, help=what, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    with user_errors():
        args.run(args)


if __name__ == "__main__":
    main()
