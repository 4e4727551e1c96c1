"""A Dockerfile template of the user's own."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.errors import ProjectError
from shardyard.image.render import render
from shardyard.project.findings import Finding
from shardyard.project.model import Project

_NEEDED = {
    "ADD code.tar /": "the image will lack the code",
    "ADD runtime.tar /": "the image will lack the launcher, `train`",
}


def template(project: Project) -> Iterator[Finding]:
    """It can be filled, and does not leave out what makes the image a training image."""
    if project.image.template is None:
        return
    try:
        lines = render(project).splitlines()
    except ProjectError as error:
        yield from (
            one for one in error.findings if one.code == "template"
        )  # a base that is not there is said
        return
    if not any(line.startswith("FROM ") for line in lines):
        text = "gives a Dockerfile without a FROM line"
        yield Finding("error", "template", "image.template", text, '{% extends "pytorch.Dockerfile.j2" %}')
    for line, meaning in _NEEDED.items():
        if line not in lines:
            yield Finding(
                "warning", "template", "image.template", f"leaves {line!r} out: {meaning}", "{{ super() }}"
            )
