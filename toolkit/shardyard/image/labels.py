"""What an image says of itself: OCI annotations, and what `layers`, `render --diff` and `rebase` read back."""

from __future__ import annotations

import json
from collections.abc import Mapping

from shardyard.project.model import Project
from shardyard_runtime import __version__ as runtime_version

# https://specs.opencontainers.org/image-spec/annotations. `created` is left out: it would make every build another.
TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
BASE_LAYERS = "shardyard.base.layers"
RUNTIME_VERSION = "shardyard.runtime.version"
PROJECT_DIGEST = "shardyard.project.digest"
DOCKERFILE = "shardyard.dockerfile"


def of_project(project: Project) -> dict[str, str]:
    """Those that are known without a build; the tag is the version, unless it is only the moving one."""
    labels = {TITLE: project.image.name, RUNTIME_VERSION: runtime_version}
    if project.registry.tag != "latest":
        labels[VERSION] = project.registry.tag
    return labels


def of_base(name: str, digest: str | None, layers: int) -> dict[str, str]:
    """Those about the base; an image that no registry has given a digest has none."""
    return {BASE_NAME: name, BASE_LAYERS: str(layers), **({BASE_DIGEST: digest} if digest else {})}


def of_build(dockerfile: str, context_digest: str) -> dict[str, str]:
    """Those of one build: the same project has the same context."""
    return {DOCKERFILE: json.dumps(dockerfile), PROJECT_DIGEST: context_digest}


def dockerfile_of(labels: Mapping[str, str]) -> str | None:
    """The Dockerfile that an image was made from, None where it does not say."""
    try:
        text = json.loads(labels[DOCKERFILE])
    except (KeyError, ValueError):
        return None
    return text if isinstance(text, str) else None
