"""Tables of plain data as frozen dataclasses, checked against their annotations by pydantic's core. (Its own model
classes would do the same, and take 80 ms of every command to be imported and made.)

Understood: other Sections, str, int, float, bool, Path, Literal, list, dict with text as keys, `X | None`, Any (what
JSON can hold), and Annotated with `Limit`, with `Before`, or with a function that gives the value or raises ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic_core import SchemaValidator

_JSON = "JSON"
_KINDS = {"dict", "list", "str", "bool", "int", "float", "NoneType"}


@dataclass(frozen=True)
class Limit:
    """A constraint by the core's name for it: min_length, pattern, ge, gt."""

    name: str
    value: Any


@dataclass(frozen=True)
class Before:
    """Applied to the plain value before its type is looked at."""

    function: Callable[[Any], Any]


@dataclass(frozen=True)
class Section:
    """A table whose keys are the fields; any other key is an error. ``given`` are those that stood there."""

    given: frozenset[str] = field(default=frozenset(), kw_only=True, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """What stood there, as plain data."""
        values = {name: getattr(self, name) for name in keys(type(self)) if name in self.given}
        return {
            name: one.as_dict() if isinstance(one, Section) else deepcopy(one) for name, one in values.items()
        }


Table = TypeVar("Table", bound=Section)


def read(kind: type[Table], data: Any) -> Table:
    """Raises pydantic_core.ValidationError with everything that is wrong."""
    found: Table = _validator(kind).validate_python(data)  # type: ignore[arg-type]
    return found


def keys(kind: type[Section]) -> dict[str, Any]:
    """The table's keys and the types of their values."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hints[name] for name in _fields(kind)}


def _fields(kind: type[Section]) -> dict[str, Field[Any]]:
    return {one.name: one for one in fields(kind) if one.name != "given"}


@cache
def _validator(kind: type[Section]) -> SchemaValidator:
    return SchemaValidator(
        {"type": "definitions", "schema": _schema(kind), "definitions": [_json()]}  # type: ignore[typeddict-item]
    )


def _section(kind: type[Section]) -> dict[str, Any]:
    known = _fields(kind)
    required = {
        name: one.default is MISSING and one.default_factory is MISSING for name, one in known.items()
    }
    table = {
        "type": "typed-dict",
        "extra_behavior": "forbid",
        "fields": {
            name: {"type": "typed-dict-field", "schema": _schema(hint), "required": required[name]}
            for name, hint in keys(kind).items()
        },
    }
    return _after(table, lambda values: kind(**values, given=frozenset(values)))


def _schema(hint: Any) -> dict[str, Any]:
    kinds = get_args(hint)
    if is_dataclass(hint):
        return _section(hint)  # type: ignore[arg-type]
    if hint is Any:
        return {"type": "definition-ref", "schema_ref": _JSON}
    if hint is Path:
        return {"type": "is-instance", "cls": Path}
    if isinstance(hint, type) and not kinds:
        return {"type": hint.__name__}
    if get_origin(hint) is Annotated:
        return _annotated(_schema(kinds[0]), kinds[1:])
    if get_origin(hint) is Literal:
        return {"type": "literal", "expected": list(kinds)}
    if get_origin(hint) is list:
        return {"type": "list", "items_schema": _schema(kinds[0])}
    if get_origin(hint) is dict:
        return {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": _schema(kinds[1])}
    [inner] = [one for one in kinds if one is not NoneType]
    return {"type": "nullable", "schema": _schema(inner)}


def _annotated(schema: dict[str, Any], notes: tuple[Any, ...]) -> dict[str, Any]:
    for note in notes:
        if isinstance(note, Limit):
            schema = {**schema, note.name: note.value}
        elif isinstance(note, Before):
            schema = {**_after(schema, note.function), "type": "function-before"}
        else:
            schema = _after(schema, note)
    return schema


def _after(schema: dict[str, Any], function: Callable[[Any], Any]) -> dict[str, Any]:
    return {"type": "function-after", "schema": schema, "function": {"type": "no-info", "function": function}}


def _json() -> dict[str, Any]:
    itself = {"type": "definition-ref", "schema_ref": _JSON}
    kinds = {name: {"type": name} for name in _KINDS} | {
        "NoneType": {"type": "none"},
        "list": {"type": "list", "items_schema": itself},
        "dict": {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": itself},
    }
    return {
        "type": "tagged-union",
        "ref": _JSON,
        "choices": kinds,
        "discriminator": lambda value: type(value).__name__,
        "custom_error_type": "no-json",
        "custom_error_message": "input was not a valid JSON value",
    }
