"""What must stay out of the image, and what would end up in it all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shardyard.project.findings import Finding
from shardyard.project.model import Project

_PASSWORD = re.compile(r"://[^/\s@:$]+:[^/\s@$]+@")  # what a shell fills in is none yet
_WORDS = {"SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIAL", "CREDENTIALS"}


def sounds_secret(name: str) -> bool:
    """Whether a variable's name is that of a secret."""
    return bool(_WORDS & set(name.upper().split("_"))) or name.upper().endswith(("API_KEY", "APIKEY"))


def environment(project: Project) -> Iterator[Finding]:
    """Variables of the image that sound like a secret."""
    for name in filter(sounds_secret, project.image.env):
        text = "sounds like a secret, and everyone who has the image can read it"
        yield Finding("warning", "secret", f"image.env.{name}", text, "hand it over with [job.environment]")


def build_args(project: Project) -> Iterator[Finding]:
    """A build argument stays in the image's history."""
    for name in filter(sounds_secret, project.image.build_args):
        text = "sounds like a secret, and a build argument stays readable in the image's history"
        remedy = f'put it into [image.secrets]: {name.lower()} = {{ env = "{name}" }}'
        yield Finding("error", "secret", f"image.build_args.{name}", text, remedy)


def addresses(project: Project) -> Iterator[Finding]:
    """Addresses with a user and a password in what the image's history and environment keep."""
    image = project.image
    given = {
        **{f"image.env.{name}": value for name, value in image.env.items()},
        **{f"image.build_args.{name}": value for name, value in image.build_args.items()},
        **{f"image.run[{number}]": line for number, line in enumerate(image.run)},
    }
    for where, text in given.items():
        if _PASSWORD.search(text):
            message = "holds an address with a password, which would stay readable in the image"
            remedy = "read it from [image.secrets] in a RUN line, or hand it over with [job.environment]"
            yield Finding("error", "credential", where, message, remedy)


def secrets(project: Project) -> Iterator[Finding]:
    """Where the secrets of a build come from, and what can use them."""
    given = project.image.secrets
    if given and project.image.engine == "direct":
        text = "the direct engine runs nothing in a container, and only a RUN line reads a secret"
        yield Finding("error", "secret-direct", "image.secrets", text, 'engine = "docker", or remove them')
    for name, one in given.items():
        if one.file is not None and not project.path(one.file).is_file():
            text = f"there is no file {one.file!r}"
            yield Finding("error", "no-secret", f"image.secrets.{name}", text)
