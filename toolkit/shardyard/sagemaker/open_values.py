"""What only the moment or the account knows of a job: values when it is submitted, names of variables in code."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from shardyard.sagemaker.source import Expression

_MARK = re.compile("\0(\\w+)\0")


@dataclass(frozen=True)
class OpenValues:
    job_name: str
    region: str
    role_arn: str
    output_path: str


def variable(name: str) -> str:
    """Stands for a variable of the printed code, alone or inside a text."""
    return f"\0{name}\0"


def as_source(value: Any) -> Any:
    """The same value for ``source``: texts with variables in them as expressions."""
    if isinstance(value, dict):
        return {key: as_source(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_source(item) for item in value]
    if not is_open(value):
        return value
    alone = _MARK.fullmatch(value)
    if alone:
        return Expression(alone[1])
    parts = _MARK.split(value)  # text and names by turns
    quoted = [json.dumps(text)[1:-1].replace("{", "{{").replace("}", "}}") for text in parts]
    return Expression(
        'f"' + "".join(f"{{{text}}}" if at % 2 else text for at, text in enumerate(quoted)) + '"'
    )


def as_json(value: Any) -> Any:
    """The same value with null for whatever is not known yet."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return None if is_open(value) else value


def is_open(value: Any) -> bool:
    return isinstance(value, str) and _MARK.search(value) is not None
