"""Values as Python source, laid out as a formatter would."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

WIDTH = 80


class Expression(str):
    """Source code that stands for itself."""


def source(value: Any, indent: int = 0) -> str:
    """An expression that evaluates to ``value``, a value of TOML or JSON; lines after the first are indented."""
    line = _line(value)
    if not isinstance(value, (dict, list)) or not value or len(line) + indent <= WIDTH:
        return line
    inner = indent + 4
    if isinstance(value, dict):
        items = [f"{source(key)}: {source(item, inner)}" for key, item in value.items()]
        return _block("{", items, "}", indent)
    return _block("[", (source(item, inner) for item in value), "]", indent)


def _line(value: Any) -> str:
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # JSON's escapes are Python's
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_line(key)}: {_line(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_line, value)) + "]"
    return repr(value)


def _block(opening: str, items: Iterable[str], closing: str, indent: int) -> str:
    space = " " * indent
    lines = "".join(f"{space}    {item},\n" for item in items)
    return f"{opening}\n{lines}{space}{closing}"


def call(name: str, arguments: dict[str, Any], indent: int = 0) -> str:
    """A call with keyword arguments, which are laid out like the items of a table."""
    items = [f"{key}={source(value, indent + 4)}" for key, value in arguments.items()]
    line = f"{name}({', '.join(items)})"
    return (
        line if len(line) + indent <= WIDTH and "\n" not in line else _block(f"{name}(", items, ")", indent)
    )
