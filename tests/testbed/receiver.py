"""Hears from a registry what was pushed and tells moto, so that `describe_images` knows it.

As on ECR, a push does not make a repository: in the user's account it must exist (the registry itself would
take the push, moto would not list it). In the bases' account it is made.
"""

from __future__ import annotations

import json
import ssl
import sys
import urllib.request
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.testbed.settings import (
    ADDRESSES,
    BASE_ACCOUNT,
    MOTO_PORT,
    RECEIVER_PORT,
    REGION,
    SIGN_IN_USER,
    Settings,
    ecr_host,
    load,
    password,
)


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


def tell(settings: Settings, client: Any, account: str, target: dict[str, Any]) -> None:
    repository, digest, kind = target["repository"], target["digest"], target["mediaType"]
    manifest = fetch_manifest(settings, account, repository, digest, kind)
    if account == BASE_ACCOUNT:
        with suppress(client.exceptions.RepositoryAlreadyExistsException):
            client.create_repository(repositoryName=repository)
    named = {"imageTag": target["tag"]} if target.get("tag") else {}
    client.put_image(
        repositoryName=repository,
        imageManifest=manifest,
        imageManifestMediaType=kind,
        imageDigest=digest,
        **named,
    )


def fetch_manifest(settings: Settings, account: str, repository: str, reference: str, kind: str) -> str:
    request = urllib.request.Request(f"https://{ecr_host(account)}/v2/{repository}/manifests/{reference}")
    token = b64encode(f"{SIGN_IN_USER}:{password(account)}".encode()).decode()
    request.add_header("Authorization", f"Basic {token}")
    request.add_header("Accept", kind)
    context = ssl.create_default_context(cafile=str(settings.bundle))
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return answer.read().decode()


class Handler(BaseHTTPRequestHandler):
    settings = load()
    clients = {account: ecr_client(account) for account in ADDRESSES}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        account = self.path.strip("/")
        for event in body["events"]:
            target = event["target"]
            if event["action"] != "push" or "manifest" not in target.get("mediaType", ""):
                continue
            try:
                tell(self.settings, self.clients[account], account, target)
            except ClientError as error:
                print(f"{target['repository']}@{target['digest']}: {error}", file=sys.stderr, flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent: only what goes wrong is worth a line."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", RECEIVER_PORT), Handler).serve_forever()
