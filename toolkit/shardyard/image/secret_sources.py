"""Where the secrets of a build are read from. Their values never enter a Dockerfile, a context or a command line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from shardyard.errors import ProjectError
from shardyard.project.findings import Finding
from shardyard.project.model import Project

_SHORTEST = 6  # a word below that is in every log by chance


@dataclass(frozen=True)
class SecretSource:
    """A secret of a build: the file or variable it is read from, and the words of it that no log may show."""

    name: str
    file: str | None
    env: str | None
    words: tuple[str, ...] = field(repr=False)


def secret_sources(project: Project) -> tuple[SecretSource, ...]:
    """Raises ProjectError with every one that is not there."""
    found, missing = [], []
    for name, secret in sorted(project.image.secrets.items()):
        where = f"image.secrets.{name}"
        if secret.env is not None:
            value = os.environ.get(secret.env)
            if value is None:
                text = f"the environment has no variable {secret.env!r}"
                missing.append(Finding("error", "no-secret", where, text, f"export {secret.env}=..."))
            else:
                found.append(SecretSource(name, None, secret.env, _words(value)))
        else:
            path = project.path(secret.file or "")
            try:
                content = path.read_text(errors="replace")
                found.append(SecretSource(name, str(path), None, _words(content)))
            except OSError as error:
                text = f"{secret.file!r} cannot be read: {error.strerror or error}"
                missing.append(Finding("error", "no-secret", where, text, "name a file that you may read"))
    if missing:
        raise ProjectError("a secret of the build is missing", missing)
    return tuple(found)


def _words(value: str) -> tuple[str, ...]:
    lines = [line.strip() for line in value.splitlines()]
    words = [word for line in lines for word in (line, *line.split())]
    return tuple(dict.fromkeys(word for word in words if len(word) >= _SHORTEST))
