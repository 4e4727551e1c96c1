"""The way to the Docker engine, or what to type when there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, StreamParseError

from shardyard.errors import MissingError

DEFAULT_HOST = "unix:///var/run/docker.sock"
BROKEN = (
    DockerException,
    StreamParseError,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
)


def endpoint() -> str:
    return os.environ.get("DOCKER_HOST") or DEFAULT_HOST


def advice(reason: str) -> str:
    """What to type, by what the connection said."""
    if "permission denied" in reason.lower():
        return "Your user may not open it. Type: sudo usermod -aG docker $USER, and sign in again."
    if os.environ.get("DOCKER_HOST"):
        return "Start the engine that DOCKER_HOST names, or type: unset DOCKER_HOST"
    return "On Debian or Ubuntu type: sudo apt-get install docker.io && sudo systemctl start docker"


def connect(timeout: float = 600) -> docker.DockerClient:
    """A client of an engine that answered a ping; MissingError otherwise."""
    try:
        client = docker.from_env(timeout=int(timeout), use_ssh_client=False)
        client.ping()
    except (DockerException, requests.exceptions.RequestException, OSError) as error:
        reason = str(error)
        raise MissingError(
            f"no Docker engine answers at {endpoint()!r}: {reason}\n{advice(reason)}\n"
            "`shardyard run --engine process` needs no Docker engine."
        ) from error
    return client


@contextmanager
def answering(doing: str) -> Iterator[None]:
    """Says so when the engine goes away in the middle; an error that it answers is left as it is."""
    try:
        yield
    except APIError:
        raise
    except BROKEN as error:
        raise MissingError(
            f"the Docker engine at {endpoint()!r} broke off in the middle of {doing}: {error}\n"
            "Type: shardyard doctor, and when the engine answers again the same command"
        ) from error
