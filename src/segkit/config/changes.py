"""Where two plain configurations differ."""

from typing import Any


def changed_options(before: Any, now: Any, path: str = "") -> list[str]:
    """One line each: ``path: before -> now``."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        return [
            line
            for key in keys
            for line in changed_options(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if before == now else [f"{path}: {before} -> {now}"]
