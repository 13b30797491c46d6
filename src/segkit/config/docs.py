"""The help that stands in the source: docstrings of the dataclasses and the strings under their fields.

Read only when someone asks (``segkit-config show``, the JSON schema), so that start-up does not pay for it.
"""

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
import types
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin


@cache
def field_docs(cls: type) -> dict[str, str]:
    """Field name -> the string under it, inherited fields included."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            docs.update(_own_docs(base))
    return docs


def _own_docs(cls: type) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    docs = {}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            value = getattr(text.value, "value", None)
            if isinstance(value, str):
                docs[field.target.id] = inspect.cleandoc(value)
    return docs


def type_text(annotation: Any) -> str:
    """A type as a reader of YAML would write it: ``tuple[PositiveInt, ...]`` -> ``[int > 0, ...]``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bounded(args[0], args[1:])
    if origin is Literal:
        return " | ".join(map(repr, args)).replace("'", "")
    if origin in (Union, types.UnionType):
        return " | ".join(type_text(a) for a in args)
    if origin is tuple:
        inner = [type_text(a) if a is not Ellipsis else "..." for a in args]
        return f"[{', '.join(inner)}]"
    if origin is dict:
        return f"{{{type_text(args[0])}: {type_text(args[1])}, ...}}"
    if annotation is type(None):
        return "null"
    return {"Path": "path", "str": "text"}.get(
        getattr(annotation, "__name__", ""), getattr(annotation, "__name__", "any")
    )


def _bounded(base: Any, metadata: tuple[Any, ...]) -> str:
    for item in metadata:
        if hasattr(item, "group"):
            many = " or several by name" if item.named else ""
            return f"a {item.group}{many}"
    limits = [(sign, getattr(part, name, None)) for part in _parts(metadata) for name, sign in _SIGNS]
    bounds = [f"{sign} {limit:g}" for sign, limit in limits if limit is not None]
    return f"{type_text(base)} {', '.join(bounds)}".strip()


_SIGNS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))


def _parts(metadata: tuple[Any, ...]) -> list[Any]:
    """Constraints, those inside a pydantic Field included."""
    return [inner for item in metadata for inner in (getattr(item, "metadata", None) or [item])]


def summary(cls: type) -> str:
    """The first line of a dataclass's docstring."""
    return inspect.cleandoc(cls.__doc__ or "").split("\n")[0]


def class_section(package: str, name: str, item: str) -> str:
    """What the docstring of class ``name`` in ``package`` says after ``- item:``; "" where it says nothing.

    The source is read, not imported: it imports torch.
    """
    top, _, rest = package.partition(".")
    for path in sorted(Path(str(files(top))).joinpath(*rest.split(".")).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f"class {name}(" in text:
            nodes = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == name)
            doc = next((ast.get_docstring(node) or "" for node in nodes), "")
            found = re.search(rf"^ *- {item}: (.*(?:\n(?! *- ) +\S.*)*)", doc, re.MULTILINE)
            return " ".join(found[1].split()) if found else ""
    return ""


def paper(cls: type) -> str:
    """What the summary names as the source, as in ``He et al., 2016, arXiv:1512.03385``; "" if it names none."""
    return "; ".join(re.findall(r"\(([^()]*(?:\b(?:19|20)\d\d\b|arXiv:)[^()]*)\)", summary(cls)))
