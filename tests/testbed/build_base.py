"""Runs inside the testbed: builds the stand-in base and pushes it to the bases' registry."""

from __future__ import annotations

import subprocess
import sys
import time

import docker

from tests.testbed import ingredients
from tests.testbed.base import DOCKERFILE, IMAGE
from tests.testbed.settings import BASE_ACCOUNT, SIGN_IN_USER, WHEELS_PORT, Settings, load, password


def main() -> int:
    settings = load()
    client = docker.from_env(timeout=1800)
    started = time.monotonic()
    _import_debian(client, settings)
    _build(client, settings)
    built = time.monotonic()
    size = client.images.get(IMAGE).attrs["Size"] / 1e6
    print(f"built in {built - started:.0f} s, {size:.0f} MB; pushing")
    _push(client)
    print(f"pushed in {time.monotonic() - built:.0f} s")
    return 0


def _import_debian(client: docker.DockerClient, settings: Settings) -> None:
    repository, _, tag = ingredients.DEBIAN.partition(":")
    if not client.images.list(name=ingredients.DEBIAN):
        client.api.import_image_from_file(str(ingredients.rootfs(settings)), repository=repository, tag=tag)


def _build(client: docker.DockerClient, settings: Settings) -> None:
    """The wheels come over loopback, so that no copy of them stays in a layer."""
    folder = ingredients.wheels(settings)
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(WHEELS_PORT)]
    with open(settings.logs / "wheels-server.log", "wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        _, stream = client.images.build(
            path=str(DOCKERFILE.parent),
            dockerfile=DOCKERFILE.name,
            tag=IMAGE,
            network_mode="host",
            rm=True,
            forcerm=True,
            buildargs={
                "BASE": ingredients.DEBIAN,
                "PIP_OPTIONS": f"--no-index --find-links http://127.0.0.1:{WHEELS_PORT}/",
            },
        )
    except docker.errors.BuildError as error:
        for line in error.build_log:
            print(line.get("stream", ""), end="", file=sys.stderr)
        raise
    finally:
        server.terminate()
        server.wait()
    with open(settings.logs / "build-base.log", "w") as log:
        log.writelines(line.get("stream", "") for line in stream)


def _push(client: docker.DockerClient) -> None:
    credentials = {"username": SIGN_IN_USER, "password": password(BASE_ACCOUNT)}
    for line in client.api.push(IMAGE, stream=True, decode=True, auth_config=credentials):
        if "error" in line:
            raise RuntimeError(f"{IMAGE} was refused: {line['error']}")


if __name__ == "__main__":
    sys.exit(main())
