"""A build through BuildKit, which alone can show a secret to a RUN line and keep it out of the layer.

It speaks a protocol of its own, which docker-py does not; the docker command line does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO

from shardyard.engines.base import Event, Listener, Recipe
from shardyard.engines.connect import endpoint
from shardyard.engines.stream import StreamError, build_failed, checked
from shardyard.errors import MissingError

_BUILT_IN_BEFORE = 23  # from this release on, the command line needs the buildx plugin
_HIDDEN = "***"


def build(recipe: Recipe, listener: Listener) -> None:
    """Builds `recipe.tag` in the engine that docker-py talks to, too."""
    line = [command(), "build", "--progress", "plain", "--network", "host"]
    line += ["--platform", recipe.platform, "--tag", recipe.tag]
    line += ["--no-cache"] if recipe.no_cache else []
    for one in recipe.secrets:
        line += [
            "--secret",
            f"id={one.name}," + (_field(f"src={one.file}") if one.file else f"env={one.env}"),
        ]
    hidden = sorted({word for one in recipe.secrets for word in one.words}, key=len, reverse=True)
    with tempfile.TemporaryFile() as context:
        shutil.copyfileobj(recipe.context, context)
        context.seek(0)
        process = subprocess.Popen(
            [*line, "-"],
            stdin=context,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DOCKER_BUILDKIT": "1", "DOCKER_HOST": endpoint()},
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        try:
            for _ in checked(_events(process, process.stdout, hidden), listener):
                pass
        except StreamError as error:
            raise build_failed(recipe.tag, error) from error
        finally:
            process.kill()
            process.wait()


def _events(process: subprocess.Popen[str], output: IO[str], hidden: list[str]) -> Iterator[Event]:
    """The lines as the engine's own stream has them; a line that shows a secret shows stars in its place."""
    last = ""
    for line in output:
        for word in hidden:
            line = line.replace(word, _HIDDEN)
        last = line.strip() or last
        yield {"stream": line}
    code = process.wait()
    if code:
        yield {"error": f"docker build ended with exit code {code}: {last}"}


def _field(text: str) -> str:
    """A field of a line with commas between its fields."""
    return '"' + text.replace('"', '""') + '"'


def command() -> str:
    """The docker command line with BuildKit; MissingError where there is none."""
    found = shutil.which("docker")
    if found is None:
        raise _missing("there is no docker command line")
    if not _answer(found, "buildx", "version"):
        version = re.search(r"\d+(?:\.\d+)*", _answer(found, "--version") or "")
        if version is None or int(version[0].partition(".")[0]) >= _BUILT_IN_BEFORE:
            said = f"{found} {version[0] if version else '(of an unknown version)'}"
            raise _missing(f"the docker command line {said} has no buildx plugin")
    return found


def _answer(*words: str) -> str | None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _missing(reason: str) -> MissingError:
    return MissingError(
        f"[image.secrets] needs BuildKit: {reason}.\n"
        "Install the package docker-buildx-plugin (docker-buildx on Debian and Ubuntu). "
        "Or remove the secrets: make a base image of your own elsewhere with what needs them, and name it in [image] base"
    )
