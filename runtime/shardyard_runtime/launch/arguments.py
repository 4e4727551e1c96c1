"""Hyperparameters as command-line arguments of the user's script. No shell ever sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def to_arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    arguments: list[str] = []
    for key in sorted(hyperparameters):
        arguments += [_name(key), _render(hyperparameters[key])]
    return arguments


def _name(key: str) -> str:
    return f"{'-' if len(key) == 1 else '--'}{key}" if key else ""


def _render(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={value[key]}" for key in sorted(value))
    return str(value)
