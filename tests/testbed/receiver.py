"""Hears from a registry what was pushed and tells moto, so that `describe_images` knows it.

As on ECR, a push does not make a repository: in the user's account it must exist (the registry itself would
take the push, moto would not list it). In the bases' account it is made. moto forgets between runs and the
registries do not: what the bases' registry holds is told again at the start.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.testbed.probes import listening, wait
from tests.testbed.registry_client import MANIFEST, RegistryClient
from tests.testbed.settings import (
    ADDRESSES,
    BASE_ACCOUNT,
    MOTO_PORT,
    RECEIVER_PORT,
    REGION,
    load,
)

START_WITHIN = 30.0


def ecr_client(account: str) -> Any:
    """A client of moto that acts in the given account."""
    client = boto3.client(
        "ecr",
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{MOTO_PORT}",
        aws_access_key_id="testbed",
        aws_secret_access_key="testbed",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5),
    )

    def in_account(request: Any, **_: Any) -> None:
        request.headers["x-moto-account-id"] = account

    client.meta.events.register("before-send.ecr", in_account)
    return client


REGISTRIES = {account: RegistryClient(load(), account) for account in ADDRESSES}
CLIENTS = {account: ecr_client(account) for account in ADDRESSES}


def tell(account: str, repository: str, reference: str, tag: str | None, kind: str = MANIFEST) -> None:
    manifest, digest = REGISTRIES[account].manifest(repository, reference, kind)
    client = CLIENTS[account]
    if account == BASE_ACCOUNT:
        with suppress(client.exceptions.RepositoryAlreadyExistsException):
            client.create_repository(repositoryName=repository)
    with suppress(client.exceptions.ImageAlreadyExistsException):
        client.put_image(
            repositoryName=repository,
            imageManifest=manifest,
            imageManifestMediaType=kind,
            imageDigest=digest,
            **({"imageTag": tag} if tag else {}),
        )


def tell_bases() -> None:
    for address, port in ((ADDRESSES[BASE_ACCOUNT], 443), ("127.0.0.1", MOTO_PORT)):
        wait(listening(address, port), START_WITHIN)
    registry = REGISTRIES[BASE_ACCOUNT]
    for repository in registry.repositories():
        for tag in registry.tags(repository):
            tell(BASE_ACCOUNT, repository, tag, tag)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for event in body["events"]:
            if event["action"] == "push" and "manifest" in event["target"].get("mediaType", ""):
                self._pushed(self.path.strip("/"), event["target"])
        self.send_response(200)
        self.end_headers()

    def _pushed(self, account: str, target: dict[str, Any]) -> None:
        repository, digest = target["repository"], target["digest"]
        try:
            tell(account, repository, digest, target.get("tag"), target["mediaType"])
        except (OSError, ClientError, BotoCoreError) as error:
            print(f"{repository}@{digest}: {error}", file=sys.stderr, flush=True)

    def log_message(self, *_: object) -> None:
        """Silent: only what goes wrong is worth a line."""


if __name__ == "__main__":
    tell_bases()
    ThreadingHTTPServer(("127.0.0.1", RECEIVER_PORT), Handler).serve_forever()
