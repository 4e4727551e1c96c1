"""Whole numbers of 64 bits, as TOML has them: beyond it they cannot be read elsewhere, and not even printed."""

from __future__ import annotations

from typing import Any

_MOST = 2**63


def too_large(data: Any) -> str | None:
    """The dotted key of a number beyond 64 bits, None where there is none. Any depth."""
    todo: list[tuple[str, Any]] = [("", data)]
    while todo:
        key, value = todo.pop()
        if isinstance(value, dict):
            todo += [(f"{key}.{name}" if key else str(name), one) for name, one in value.items()]
        elif isinstance(value, list):
            todo += [(key, one) for one in value]
        elif isinstance(value, int) and not -_MOST <= value < _MOST:
            return key
    return None
