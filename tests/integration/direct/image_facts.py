"""Runs inside the testbed: pulls an image with the real engine, starts it, prints what it found as JSON."""

from __future__ import annotations

import json
import sys

import docker

from tests.testbed.settings import SIGN_IN_USER, USER_ACCOUNT, password


def main(uri: str, *command: str) -> None:
    client = docker.from_env(timeout=300)
    credentials = {"username": SIGN_IN_USER, "password": password(USER_ACCOUNT)}
    image = client.images.pull(uri, auth_config=credentials) if "amazonaws" in uri else client.images.get(uri)
    said = client.containers.run(image, list(command), remove=True, stderr=True) if command else b""
    print(
        json.dumps(
            {
                "id": image.id,
                "layers": image.attrs["RootFS"]["Layers"],
                "config": image.attrs["Config"],
                "history": image.history(),
                "said": said.decode(),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
