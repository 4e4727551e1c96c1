"""The templates of the hand-off's code."""

from __future__ import annotations

from typing import Any

import jinja2

from shardyard.paths import data_dir
from shardyard.sagemaker.source import source


def render(name: str, **values: Any) -> str:
    """``templates/estimator/<name>``; its filter ``source`` writes a value as Python."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_dir("templates") / "estimator"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["source"] = source
    return environment.get_template(name).render(**values)
