"""How every command ends on a user's mistake: its message, exit code 2, no traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from segkit.errors import SegkitError


@contextmanager
def user_errors() -> Iterator[None]:
    """Prints a :class:`SegkitError` to stderr, one line each problem, and exits with its code, 2."""
    try:
        yield
    except SegkitError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
