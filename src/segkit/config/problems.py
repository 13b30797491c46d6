"""Puts validation errors into words: one line each, at its path, with the nearest valid spelling."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic_core import ErrorDetails

from segkit.config.component import Choice
from segkit.config.spelling import hint
from segkit.errors import Problem

Loc = Sequence[str | int]


def word_errors(errors: Sequence[ErrorDetails], root: type, tree: Any) -> list[Problem]:
    """One problem for each path; the branches of a union that all failed become one sentence."""
    worded: dict[str, list[str]] = {}
    for error in errors:
        unknown = error["type"] == "unexpected_keyword_argument"
        loc = error["loc"] if unknown else _real(error["loc"], tree)
        text = _unknown_key(loc, root, tree) if unknown else _sentence(error, _at(tree, loc))
        texts = worded.setdefault(".".join(map(str, loc)), [])
        if text not in texts:
            texts.append(text)
    return [Problem(path, _join(texts)) for path, texts in worded.items()]


def _real(loc: Loc, tree: Any) -> Loc:
    """The part of a location that is a path in the data; the rest names branches of a union."""
    for depth, key in enumerate(loc):
        try:
            tree = tree[key]
        except (KeyError, IndexError, TypeError):
            return loc[:depth] or loc
    return loc


def _at(tree: Any, loc: Loc) -> Any:
    for key in loc:
        tree = tree[key]
    return tree


def _join(texts: list[str]) -> str:
    """'must be A (got x)' and 'must be B (got x)' -> 'must be A or B (got x)'."""
    if len(texts) == 1 or not all(t.startswith("must be ") and " (got " in t for t in texts):
        return "; or ".join(texts)
    heads = [t.rpartition(" (got ")[0].removeprefix("must be ") for t in texts]
    return f"must be {' or '.join(heads)} (got {texts[0].rpartition(' (got ')[2]}"


def _unknown_key(loc: Loc, root: type, tree: Any) -> str:
    cls = class_at(root, tree, loc[:-1])
    names = [f.name for f in dataclasses.fields(cls)] if cls else []
    near = hint(str(loc[-1]), [*names, "experiment"] if cls is root else names)
    return f"unknown key{near}; known keys: {', '.join(names)}"


def class_at(root: type, tree: Any, loc: Loc) -> type | None:
    """The dataclass that describes the part of ``tree`` at ``loc``."""
    annotation: Any = root
    for key in (*loc, None):
        annotation = _choose(annotation, tree)
        if key is None or annotation is None:
            break
        if dataclasses.is_dataclass(annotation):
            annotation = get_type_hints(annotation, include_extras=True).get(str(key))
        else:  # a mapping from names to components, or a list of them
            annotation = next((a for a in get_args(annotation) if a not in (str, int, ...)), None)
        tree = tree[key]
    return annotation if dataclasses.is_dataclass(annotation) else None  # type: ignore[return-value]


def _choose(annotation: Any, value: Any) -> Any:
    """Follows a choice to the class that the data names, and a union to the branch that is a dataclass."""
    if get_origin(annotation) is Annotated:
        base, *metadata = get_args(annotation)
        choice = next((m for m in metadata if isinstance(m, Choice)), None)
        if choice is None:
            return _choose(base, value)
        if choice.named and isinstance(value, Mapping) and "type" not in value:
            return dict[str, Annotated[Any, Choice(choice.group)]]
        return choice.options.get(str(value.get("type"))) if isinstance(value, Mapping) else None
    if type(None) in get_args(annotation):
        return next(_choose(a, value) for a in get_args(annotation) if a is not type(None))
    return annotation


_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "none_required": "null",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def _sentence(error: ErrorDetails, value: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    got = f"(got {value!r})" if not isinstance(value, Mapping) else "(got a mapping)"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]} {got}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"must be {words} {context[name]:g} {got}"
    words_of = _SPECIAL.get(kind)
    return words_of(error, value, got) if words_of else f"{error['msg'].removeprefix('Value error, ')} {got}"


def _literal(error: ErrorDetails, value: Any, got: str) -> str:
    allowed = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "")
    return f"must be {'one of ' if ', ' in allowed else ''}{allowed} {got}{hint(str(value), allowed.split(', '))}"


_SPECIAL: dict[str, Callable[[ErrorDetails, Any, str], str]] = {
    "literal_error": _literal,
    "component": lambda error, value, got: error["ctx"]["text"],
    "missing": lambda error, value, got: f"`{error['loc'][-1]}` is missing",
    "missing_keyword_only_argument": lambda error, value, got: f"`{error['loc'][-1]}` is missing",
    "too_long": lambda error, value, got: f"must have {error['ctx']['max_length']} entries {got}",
    "too_short": lambda error, value, got: f"must have {error['ctx']['min_length']} entries {got}",
}
