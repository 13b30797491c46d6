"""Changes ``key=value`` to the configuration of a trained model."""

from collections.abc import Callable, Sequence
from typing import Any

from segkit.errors import ConfigError, Problem

Tree = dict[str, Any]

CHANGEABLE = ("plugins", "dataset", "dataloader", "amp", "inference", "trainer", "logger")
"""Root keys that a trained model leaves open; the others made it what it is."""


def changes(lines: Sequence[str], *, allowed: Sequence[str] | None = CHANGEABLE) -> Callable[[Tree], None]:
    """What makes the changes ``key=value`` to a plain configuration.

    A group takes an option (``inference=slide_512x1024``), a field a value (``dataset.root=/data/camvid``).

    Args:
        lines: the changes.
        allowed: root keys that may change; None for all, and a wrong one is then found by the validation.

    Raises:
        ConfigError: from this call, if a line cannot be read; from the result, if it cannot be applied.
    """
    from segkit.config.compose import compose_tree, parse

    overrides = parse(lines)
    open_keys = allowed or [_root(o) for o in overrides]
    wrong = [o for o in overrides if o.is_delete() or o.is_sweep_override() or _root(o) not in open_keys]
    if wrong:
        only = f"cannot be changed for a trained model; key=value of {', '.join(allowed or ())} can"
        text = only if allowed else "must be key=value with one value"
        raise ConfigError([Problem(str(o.input_line), text) for o in wrong])

    def apply(tree: Tree) -> None:
        options = [o for o in overrides if isinstance(o.value(), str) and isinstance(tree.get(o.key_or_group), dict)]
        for override in options:  # first, whatever their place, as in segkit-train
            composed = compose_tree([str(override.input_line).lstrip("+")])
            if composed.problems:
                raise ConfigError(composed.problems)
            tree[override.key_or_group] = composed.tree[override.key_or_group]
        for override in overrides:
            if override not in options:
                _set(tree, override.key_or_group, override.value())

    return apply


def _root(override: Any) -> str:
    return str(override.key_or_group).split(".")[0]


def _set(tree: Tree, key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        node = tree.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError([Problem(key, f"{parent} has no parts", "on the command line")])
        tree[parent] = tree = dict(node)
    tree[last] = value
