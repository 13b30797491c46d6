"""How a knob is declared: frozen pydantic dataclasses, found again by group and type name."""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, dataclass_transform

import pydantic.dataclasses
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError, core_schema

from segkit.config.spelling import hint

C = TypeVar("C", bound=type)

CONFIGS: dict[str, dict[str, type]] = {}
"""Group -> type name -> dataclass: every component that a configuration can name."""

_CONFIG = ConfigDict(extra="forbid", defer_build=True)  # deferred: building 100 schemas costs half of the start-up


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field, dataclasses.field))
def component(cls: C) -> C:
    """Declares a config dataclass: frozen, keyword only, unknown keys refused.

    A class with ``type: Literal["Name"] = "Name"`` below a base that states its ``group`` becomes an option of that
    group. The strings under the fields are their help (see :mod:`segkit.config.docs`).
    """
    make = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False, config=_CONFIG)
    made: Any = make(cls)
    made.__eq__, made.__hash__, made.__repr__ = _same, _hash, _show
    group = getattr(cls, "group", None)
    if group and "type" in inspect.get_annotations(cls):
        CONFIGS.setdefault(group, {})[type_name(made)] = made
    return made


# One of each for all classes: compiling them for every class was a tenth of a command's start.
def _same(self: Any, other: object) -> bool:
    return vars(self) == vars(other) if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    return hash(tuple(vars(self).values()))


def _show(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


def type_name(cls: type) -> str:
    """The type name of a component's dataclass, as in ``type: PSPNet``."""
    return str(cls.__dataclass_fields__["type"].default)  # type: ignore[attr-defined]


class Choice:
    """Annotation of a field that holds one component of a group, told apart by ``type``.

    The group is looked up when a value is validated, so components that a plugin registers later are options too.

    Args:
        group: the group.
        named: take several by name, too.
        without: a type of the group that cannot be chosen here, since it would contain itself.
    """

    def __init__(self, group: str, *, named: bool = False, without: str = "") -> None:
        self.group = group
        self.named = named
        self.without = without

    @property
    def options(self) -> dict[str, type]:
        """Type name -> dataclass, for all that can be chosen now."""
        return {name: cls for name, cls in CONFIGS[self.group].items() if name != self.without}

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: Any) -> dict[str, Any]:
        options = [handler(adapter(cls).core_schema) for cls in self.options.values()]
        if self.named:
            options.append({"type": "object", "additionalProperties": {"anyOf": list(options)}})
        return {"anyOf": options}

    def validate(self, value: Any) -> Any:
        """Builds the component that ``value`` describes; one already built is kept."""
        options = self.options
        if type(value) in options.values():
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("component", "{text}", {"text": f"must be a mapping with `type` (got {value!r})"})
        if self.named and "type" not in value:
            return TypeAdapter(dict[str, Annotated[Any, Choice(self.group)]]).validate_python(dict(value))
        return self._build(value, options)

    def _build(self, value: Mapping[str, Any], options: Mapping[str, type]) -> Any:
        name = value.get("type")
        if name is None:
            raise PydanticCustomError(
                "component", "{text}", {"text": f"`type` is missing; one of {', '.join(options)}"}
            )
        if name not in options:
            text = f"no {self.group} is called {name!r}{hint(name, options)}; one of {', '.join(sorted(options))}"
            raise PydanticCustomError("component", "{text}", {"text": text})
        # From JSON: there, strict still takes lists for tuples and strings for paths, but no "512" for 512.
        return adapter(options[name]).validate_json(json.dumps(to_plain(value)), strict=True)


@cache
def adapter(cls: type) -> TypeAdapter[Any]:
    """The validator of a dataclass."""
    return TypeAdapter(cls)


def plain_defaults(cls: type) -> dict[str, Any]:
    """``to_plain(cls())`` without building the class's validator, of which a start would pay more than a hundred."""
    fields = sorted(cls.__pydantic_fields__.items(), key=lambda item: item[0] != "type")  # type: ignore[attr-defined]
    return {name: to_plain(field.get_default(call_default_factory=True)) for name, field in fields}


def to_plain(value: Any) -> Any:
    """A config as plain dicts, lists, strings and numbers, ready for YAML and checkpoints."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = sorted((f.name for f in dataclasses.fields(value)), key=lambda name: name != "type")  # type comes first
        return {name: to_plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
