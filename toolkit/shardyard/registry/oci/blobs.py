"""Blobs: is it there, mount it from elsewhere, send it, read it. Chunk by chunk, never whole in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Protocol
from urllib.parse import urlencode, urljoin, urlsplit

from shardyard.registry.oci.client import Repository, read_small
from shardyard.registry.oci.errors import RegistryError, Transient
from shardyard.registry.oci.headers import content_range
from shardyard.registry.oci.manifests import Descriptor
from shardyard.registry.oci.transport import Response, body_of

CHUNK = 1 << 20
# Up to here one PUT, which saves a round trip; beyond it one streamed PATCH, as Docker itself sends layers.
SINGLE_PUT = 4 * CHUNK
Source = Callable[[], Iterator[bytes]]


class BlobStore(Protocol):
    """Where blobs are looked for and sent to."""

    def has(self, digest: str) -> bool: ...

    def mount(self, digest: str, origin: str) -> bool: ...

    def upload(self, blob: Descriptor, source: Source) -> None: ...


class Blobs:
    """The blobs of one repository. Satisfies BlobStore."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def has(self, digest: str) -> bool:
        answer, _ = self._repository.ask("HEAD", f"/blobs/{digest}", (200, 404))
        return answer.status == 200

    def mount(self, digest: str, origin: str) -> bool:
        """Whether the registry took the blob over from its repository `origin`. A 202 means that it did not,
        and that it began an upload, which is given up."""
        query = urlencode({"mount": digest, "from": origin})
        try:
            answer, _ = self._repository.ask("POST", f"/blobs/uploads/?{query}", (201, 202))
        except RegistryError as error:
            if error.status in (400, 401, 403, 404, 405):  # no such right or feature: the blob is sent then
                return False
            raise
        if answer.status == 202 and "Location" in answer.headers:
            self._give_up(self._location(answer))
        return answer.status == 201

    def try_upload(self) -> None:
        """Begins an upload and gives it up: raises where there is no right to push."""
        begun, _ = self._repository.ask("POST", "/blobs/uploads/", (202,), {"Content-Length": "0"})
        self._give_up(self._location(begun))

    def upload(self, blob: Descriptor, source: Source) -> None:
        """Sends the blob; on a broken line all of it once more, from a fresh `source()`."""
        self._repository.patience.run(lambda: self._send(blob, source))

    def _send(self, blob: Descriptor, source: Source) -> None:
        begun = self._repository.once("POST", "/blobs/uploads/", (202,), {"Content-Length": "0"})
        read_small(begun)
        place = self._location(begun)
        try:
            with closing(_verified(blob, source())) as body:  # type: ignore[type-var]
                if blob.size <= SINGLE_PUT:
                    self._finish(place, blob, b"".join(body))
                    return
                headers = {"Content-Length": str(blob.size), "Content-Type": "application/octet-stream"}
                taken = self._repository.once("PATCH", place, (201, 202, 204), headers, body)
                read_small(taken)
            self._finish(self._location(taken, place), blob, b"")
        except RegistryError as error:
            if not isinstance(error, Transient):
                self._give_up(place)
            if error.status == 404:  # the upload was forgotten, not the repository: a new one may do
                raise Transient(error.message, 404) from error
            raise

    def _finish(self, place: str, blob: Descriptor, body: bytes) -> None:
        url = place + ("&" if urlsplit(place).query else "?") + urlencode({"digest": blob.digest})
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/octet-stream"}
        answer = self._repository.once("PUT", url, (201, 204), headers, body)
        read_small(answer)
        named = answer.headers.get("Docker-Content-Digest", blob.digest)
        if named != blob.digest:
            raise RegistryError(
                f"{self._repository.host!r} took the blob as {named!r}, but {blob.digest!r} was sent"
            )

    def _location(self, answer: Response, otherwise: str = "") -> str:
        found = answer.headers.get("Location") or otherwise
        if not found:
            raise RegistryError(f"{self._repository.host!r} began an upload without saying where")
        return urljoin(self._repository.address, found)

    def _give_up(self, place: str) -> None:
        try:
            read_small(self._repository.once("DELETE", place, tuple(range(200, 600))))
        except RegistryError:
            return  # the registry forgets it by itself

    def read(self, blob: Descriptor) -> Iterator[bytes]:
        """The blob's bytes. A broken line is taken up where it broke; the digest is checked at the end."""
        return _verified(blob, self.unchecked(blob))

    def unchecked(self, blob: Descriptor) -> Iterator[bytes]:
        """The same for who checks the digest anyway."""
        done, attempts = 0, self._repository.patience.attempts
        while done < blob.size:
            answer = self._open(blob, done)
            before = done
            try:
                for chunk in body_of(answer, CHUNK):
                    done += len(chunk)
                    yield chunk
                if done < blob.size:
                    raise Transient(f"the blob {blob.digest} ended after {done} of {blob.size} bytes")
            except Transient:
                attempts -= 1
                if done == before and attempts <= 0:
                    raise

    def _open(self, blob: Descriptor, start: int) -> Response:
        """The answer that begins at this byte."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        answer = self._repository.patience.run(
            lambda: self._repository.once("GET", f"/blobs/{blob.digest}", (200, 206), headers)
        )
        if not start:
            return answer
        place = content_range(answer.headers.get("Content-Range", "")) if answer.status == 206 else None
        if place is None or place.first != start:
            answer.close()
            raise Transient(f"{self._repository.host!r} cannot go on in the middle of a blob")
        return answer


def _verified(blob: Descriptor, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks; at the end an error unless they were the blob: a wrong one is never called complete."""
    found, size = hashlib.sha256(), 0
    for chunk in chunks:
        found.update(chunk)
        size += len(chunk)
        if size > blob.size:
            raise RegistryError(f"the blob {blob.digest} has more than the {blob.size} bytes announced")
        yield chunk
    digest = "sha256:" + found.hexdigest()
    if size != blob.size or digest != blob.digest:
        raise RegistryError(
            f"the blob {blob.digest} ({blob.size} bytes) arrived as {digest} ({size} bytes): it was damaged"
        )
