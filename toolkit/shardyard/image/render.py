"""The Dockerfile of a project: a pure function of the project, the same bytes each time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shardyard.image import labels
from shardyard.image.base import base_of
from shardyard.image.kept import kept
from shardyard.paths import data_dir
from shardyard.project.model import Image, Project

FOLDER = data_dir("templates") / "image"
_CERTIFICATES = "PIP_CERT=/opt/shardyard/ca-bundle.crt SSL_CERT_FILE=/opt/shardyard/ca-bundle.crt "
_PIP = (
    "PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 "
    "python3 -m pip install --no-cache-dir"
)
_WHEELS = " --find-links /opt/shardyard/wheelhouse"


def render(project: Project) -> str:
    """The Dockerfile's text. Raises ProjectError where the base image cannot be told, or the template is wrong."""
    image = project.image
    variables = {
        "base": base_of(project),
        "build_args": sorted(image.build_args.items()),
        "apt": sorted(set(image.apt)),
        "requirements": image.requirements is not None,
        "wheelhouse": image.wheelhouse is not None,
        "ca_bundle": image.ca_bundle is not None,
        "pip": (_CERTIFICATES if image.ca_bundle else "") + _PIP + (_WHEELS if image.wheelhouse else ""),
        "mounts": _mounts(image),
        "run": image.run,
        "bundled": image.runtime == "bundled",
        "program": image.entry_point,
        "env": sorted(image.env.items()),
        "user": image.user,
        "labels": sorted(labels.of_project(project).items()),
    }
    if image.template is None:
        return _filled(image.framework, variables)
    from shardyard.image.templates import fill_own

    return fill_own(project.path(image.template), image.template, variables)


def _filled(framework: str, variables: Mapping[str, Any]) -> str:
    """From the templates and the variables alone, so it need not be done twice: an edit of the script changes
    neither, and Jinja takes 40 ms to be imported and to read a template."""

    def make() -> bytes:
        from shardyard.image.templates import fill

        return fill(framework, variables).encode()

    texts = [(one.name, one.read_text(encoding="utf-8")) for one in sorted(FOLDER.glob("*.j2"))]
    return kept("dockerfiles", json.dumps([framework, variables, texts]).encode(), make).decode()


def _mounts(image: Image) -> str:
    """What opens the secrets to a RUN line; BuildKit keeps them out of the layer."""
    return "".join(
        f"--mount=type=secret,id={name}" + (f",target={one.target} " if one.target else " ")
        for name, one in sorted(image.secrets.items())
    )
