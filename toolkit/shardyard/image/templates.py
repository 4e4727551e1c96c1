"""The Dockerfile templates that come along."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shardyard.image.render import FOLDER, quoted


def fill(framework: str, variables: Mapping[str, Any]) -> str:
    """The text of the template for this framework."""
    return _environment().get_template(f"{framework}.Dockerfile.j2").render(variables)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["quoted"] = quoted
    return environment
