"""One repository of a registry: manifests and small questions. Blobs are in blobs.py."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import responses
from urllib.parse import urlsplit

import urllib3

from shardyard.registry.oci.errors import TRANSIENT_STATUS, RegistryError, Transient, said
from shardyard.registry.oci.headers import retry_after
from shardyard.registry.oci.manifests import (
    ACCEPT,
    ImageManifest,
    choose,
    digest_of,
    is_index,
)
from shardyard.registry.oci.retry import Patience
from shardyard.registry.oci.transport import Body, Response, Transport, api, refusal

_LARGEST_DOCUMENT = 16 * 1024 * 1024


class Repository:
    """What can be asked of one repository. Every question is asked again where that may help."""

    def __init__(self, transport: Transport, host: str, name: str, patience: Patience | None = None) -> None:
        self.host, self.name = host, name
        self.patience = patience or Patience()
        self._transport = transport
        self.address = f"{api(host)}/{name}"

    def once(
        self,
        method: str,
        path: str,
        good: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: Body = None,
    ) -> Response:
        """One request, whose answer is one of `good`; Transient where another try may help."""
        url = path if "://" in path else f"{self.address}{path}"
        answer = self._transport.send(method, url, headers or {}, body)
        if answer.status in good:
            return answer
        text, codes = said(refusal(answer))
        reason = f"{answer.status} {responses.get(answer.status, '')}".strip()
        where = f"{self.host}/{self.name}"
        message = f"the registry answered {reason} to {method} {urlsplit(url).path} of {where!r}: {text}"
        if answer.status in TRANSIENT_STATUS:
            raise Transient(message, answer.status, retry_after(answer.headers.get("Retry-After")))
        if answer.status == 403:
            message += ". Ask its owner for the right to do so"
        raise RegistryError(message, answer.status, codes)

    def ask(
        self,
        method: str,
        path: str,
        good: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[Response, bytes]:
        """The answer and all of its body, which is small."""

        def whole() -> tuple[Response, bytes]:
            answer = self.once(method, path, good, headers, body)
            return answer, read_small(answer)

        return self.patience.run(whole)

    def digest(self, version: str) -> str | None:
        """The digest under a tag, None where there is none."""
        answer, _ = self.ask("HEAD", f"/manifests/{version}", (200, 404), {"Accept": ACCEPT})
        if answer.status == 404:
            return None
        return answer.headers.get("Docker-Content-Digest") or self._computed(version)

    def _computed(self, version: str) -> str:
        return digest_of(self.ask("GET", f"/manifests/{version}", (200,), {"Accept": ACCEPT})[1])

    def manifest(self, version: str, platform: str | None = None) -> ImageManifest | None:
        """The image under a tag or digest; for an index the one of the platform. None where there is none."""
        answer, raw = self.ask("GET", f"/manifests/{version}", (200, 404), {"Accept": ACCEPT})
        if answer.status == 404:
            return None
        if version.startswith("sha256:") and digest_of(raw) != version:
            raise RegistryError(f"the manifest {version} of {self.host!r} has digest {digest_of(raw)}")
        kind = answer.headers.get("Content-Type", "")
        if is_index(raw, kind):
            return self.manifest(choose(raw, platform or "linux/amd64"))
        return ImageManifest.parse(raw, kind)

    def put_manifest(self, tag: str, manifest: ImageManifest) -> None:
        answer, _ = self.ask(
            "PUT", f"/manifests/{tag}", (201, 200), {"Content-Type": manifest.media_type}, manifest.raw
        )
        named = answer.headers.get("Docker-Content-Digest", manifest.digest)
        if named != manifest.digest:
            raise RegistryError(
                f"the registry {self.host!r} took the manifest as {named!r}, but {manifest.digest!r} was sent"
            )

    def small_blob(self, digest: str) -> bytes:
        """A config or the like, checked against its digest."""
        _, raw = self.ask("GET", f"/blobs/{digest}", (200,))
        if digest_of(raw) != digest:
            raise RegistryError(f"the blob {digest} of {self.host!r} arrived as {digest_of(raw)}: damaged")
        return raw


def read_small(answer: Response) -> bytes:
    try:
        data = answer.read(_LARGEST_DOCUMENT + 1)
        if len(data) > _LARGEST_DOCUMENT:
            raise RegistryError("the registry sent a document of more than 16 MB")
        answer.drain_conn()
        return data
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Transient(f"the connection broke in the middle of an answer: {error}") from error
