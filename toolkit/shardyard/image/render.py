"""The Dockerfile of a project: a pure function of the project, the same bytes each time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shardyard.image.base import base_of
from shardyard.image.kept import kept
from shardyard.paths import data_dir
from shardyard.project.model import Project

FOLDER = data_dir("templates") / "image"


def render(project: Project) -> str:
    """The Dockerfile's text. Raises ProjectError where the base image cannot be told."""
    image = project.image
    variables = {
        "base": base_of(project),
        "apt": sorted(set(image.apt)),
        "requirements": image.requirements is not None,
        "wheelhouse": image.wheelhouse is not None,
        "ca_bundle": image.ca_bundle is not None,
        "run": image.run,
        "bundled": image.runtime == "bundled",
        "program": image.entry_point,
        "env": sorted(image.env.items()),
    }
    return _filled(image.framework, variables)


def _filled(framework: str, variables: Mapping[str, Any]) -> str:
    """From the templates and the variables alone, so it need not be done twice: an edit of the script changes
    neither, and Jinja takes 40 ms to be imported and to read a template."""

    def make() -> bytes:
        from shardyard.image.templates import fill

        return fill(framework, variables).encode()

    texts = [(one.name, one.read_text(encoding="utf-8")) for one in sorted(FOLDER.glob("*.j2"))]
    return kept("dockerfiles", json.dumps([framework, variables, texts]).encode(), make).decode()


def quoted(value: str) -> str:
    """A value of an ENV line: in quotes, nothing in it expanded."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
