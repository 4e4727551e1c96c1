"""What the registry itself holds, over its own protocol."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import urllib3

from shardyard.engines.base import Credentials, wrong_password
from shardyard.errors import RemoteError
from shardyard.registry.trust import ca_bundle, context

MEDIA_TYPES = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.index.v1+json",
    )
)


@dataclass(frozen=True)
class Manifest:
    """Digest and compressed sizes of an image in the registry, layers base first."""

    digest: str
    config_bytes: int
    layer_bytes: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return self.config_bytes + sum(self.layer_bytes)


class RegistryReader:
    """Reads manifests with basic authentication over https."""

    exists = False

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._pool = urllib3.PoolManager(
            ssl_context=context(ca_bundle()),
            timeout=urllib3.Timeout(connect=10, read=60),
            retries=urllib3.Retry(3, backoff_factor=0.2),
        )

    def sign_in(self) -> None:
        """Raises where the registry refuses the password: known before anything is made or sent."""
        self._request("GET", "/v2/")

    def digest(self, repository: str, reference: str) -> str | None:
        """The digest of a tag by HEAD, None where the registry has none."""
        answer = self._request("HEAD", f"/v2/{repository}/manifests/{reference}")
        return answer.headers.get("Docker-Content-Digest") if answer is not None else None

    def manifest(self, repository: str, digest: str) -> Manifest:
        """The manifest of a digest, its bytes checked against it."""
        answer = self._request("GET", f"/v2/{repository}/manifests/{digest}")
        if answer is None:
            raise RemoteError(
                f"the registry {self._credentials.host!r} has no manifest {digest!r} of {repository!r}"
            )
        computed = "sha256:" + hashlib.sha256(answer.data).hexdigest()
        if computed != digest:
            raise RemoteError(
                f"the manifest of {repository!r} has digest {computed!r}, not {digest!r} as pushed"
            )
        body = json.loads(answer.data)
        layers = tuple(int(layer["size"]) for layer in body.get("layers", ()))
        return Manifest(digest, int(body.get("config", {}).get("size", 0)), layers)

    def _request(self, method: str, path: str) -> urllib3.BaseHTTPResponse | None:
        held = self._credentials
        headers = urllib3.make_headers(basic_auth=f"{held.username}:{held.password}") | {
            "Accept": MEDIA_TYPES
        }
        try:
            answer = self._pool.request(method, f"https://{held.host}{path}", headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise RemoteError(f"cannot read {path} of the registry {held.host!r}: {error}") from error
        if answer.status == 404:
            return None
        if answer.status in (401, 403):
            raise RemoteError(wrong_password(held.host, f"{answer.status} for user {held.username!r}"))
        if answer.status != 200:
            raise RemoteError(f"the registry {held.host!r} answered {answer.status} for {path}")
        return answer
