"""Commands, run in this process."""

from collections.abc import Callable


def exit_code(main: Callable[[list[str]], None], *arguments: object) -> int:
    """What a command ends with."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0
