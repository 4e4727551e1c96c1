"""The Dockerfile of a project: a pure function of the project, the same bytes each time."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shardyard.image.base import base_of
from shardyard.paths import data_dir
from shardyard.project.model import Project


def render(project: Project) -> str:
    """The Dockerfile's text. Raises ProjectError where the base image cannot be told."""
    image = project.image
    template = _environment().get_template(f"{image.framework}.Dockerfile.j2")
    return template.render(
        base=base_of(project),
        apt=sorted(set(image.apt)),
        requirements=image.requirements is not None,
        wheelhouse=image.wheelhouse is not None,
        ca_bundle=image.ca_bundle is not None,
        run=image.run,
        bundled=image.runtime == "bundled",
        program=image.entry_point,
        env=sorted(image.env.items()),
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(data_dir("templates") / "image"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["quoted"] = quoted
    return environment


def quoted(value: str) -> str:
    """A value of an ENV line: in quotes, nothing in it expanded."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
