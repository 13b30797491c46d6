"""The nearest valid spelling of a name."""

import difflib
from collections.abc import Iterable


def nearest(name: str, options: Iterable[str]) -> str | None:
    """The option most like ``name``, ignoring case, or None if none is near."""
    folded = {option.lower(): option for option in options}
    found = difflib.get_close_matches(str(name).lower(), folded, n=1, cutoff=0.55)
    return folded[found[0]] if found else None


def hint(name: str, options: Iterable[str]) -> str:
    """``", did you mean 'x'?"`` or nothing."""
    best = nearest(name, options)
    return f", did you mean {best!r}?" if best else ""
