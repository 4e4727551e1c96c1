"""The way of an image into ECR. Retry and verification are wrapped around the plain push."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Protocol

import tenacity

from shardyard.beside import Beside
from shardyard.engines.base import Credentials, LocalImage, PushedImage
from shardyard.errors import RemoteError
from shardyard.registry.ecr import Ecr
from shardyard.registry.manifest import Manifest

# Whole words: an account number may hold 504, and a repository's name eof.
TRANSIENT = re.compile(
    r"\b(connection reset|eof|timeout|timed out|toomanyrequests|temporarily|429|50[234])\b", re.IGNORECASE
)
# In ECR's registry it is "... already exists ... and cannot be overwritten because the repository is immutable".
TAKEN = re.compile(r"already exists\b.*\bimmutable|ImageTagAlreadyExists", re.IGNORECASE | re.DOTALL)
CATALOGUE_WAIT_S = 30.0


@dataclass(frozen=True)
class Target:
    """Where an image goes."""

    host: str
    repository: str
    tag: str

    @property
    def uri(self) -> str:
        return f"{self.host}/{self.repository}:{self.tag}"


@dataclass(frozen=True)
class Published:
    """An image in the registry. The sizes are what the registry stores: compressed."""

    image_uri: str
    digest: str
    uploaded: tuple[str, ...]
    size_bytes: int = 0
    new_layer_bytes: int = 0

    @property
    def image_uri_by_digest(self) -> str:
        """Means this very image, whatever is pushed under the tag later."""
        return f"{self.image_uri.rpartition(':')[0]}@{self.digest}"

    def as_dict(self) -> dict[str, object]:
        return {
            "image_uri": self.image_uri,
            "image_uri_by_digest": self.image_uri_by_digest,
            "digest": self.digest,
            "size_bytes": self.size_bytes,
            "new_layer_bytes": self.new_layer_bytes,
        }


class Publisher(Protocol):
    """Puts a local image at a target."""

    def publish(self, source: str, target: Target) -> Published: ...


class Reader(Protocol):
    """What a registry holds. `exists`: the repository is known to be there."""

    exists: bool

    def sign_in(self) -> None: ...

    def digest(self, repository: str, reference: str) -> str | None: ...

    def manifest(self, repository: str, digest: str) -> Manifest: ...


class Source(Protocol):
    """What holds an image and can push it: an engine, or one that makes the image as it goes there."""

    def find(self, reference: str) -> LocalImage | None: ...

    def push(self, source: str, target: str, credentials: Credentials) -> PushedImage: ...


class PushPublisher:
    """The push itself."""

    def __init__(self, engine: Source, credentials: Credentials) -> None:
        self._engine, self._credentials = engine, credentials

    def publish(self, source: str, target: Target) -> Published:
        try:
            pushed: PushedImage = self._engine.push(source, target.uri, self._credentials)
        except RemoteError as error:
            if TAKEN.search(str(error)):
                raise taken(target) from error
            raise
        return Published(target.uri, pushed.digest, pushed.uploaded)


class Settled:
    """For a repository whose tags never move: what lies under the tag is this very image, and nothing is to be
    sent, or it is another, and nothing can be sent."""

    def __init__(self, inner: Publisher, engine: Source, reader: Reader) -> None:
        self._inner, self._engine, self._reader = inner, engine, reader

    def publish(self, source: str, target: Target) -> Published:
        held = self._reader.digest(target.repository, target.tag)
        if held is None:
            return self._inner.publish(source, target)
        image = self._engine.find(source)
        if image is None or held not in image.digests:
            raise taken(target)
        return Published(target.uri, held, ())


class Retrying:
    """Tries again when the other side was busy or the line broke; never after a refusal."""

    def __init__(self, inner: Publisher, attempts: int = 4, wait_s: float = 1.0) -> None:
        self._inner = inner
        self._retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_transient),
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential(multiplier=wait_s, max=20),
            reraise=True,
        )

    def publish(self, source: str, target: Target) -> Published:
        return self._retry(self._inner.publish, source, target)


class Verified:
    """Believes a push when the registry and ECR's catalogue both name the digest that was pushed."""

    def __init__(self, inner: Publisher, engine: Source, ecr: Ecr, reader: Reader, wait_s: float) -> None:
        self._inner, self._engine, self._ecr, self._reader = inner, engine, ecr, reader
        self._wait_s = wait_s

    def publish(self, source: str, target: Target) -> Published:
        done = self._inner.publish(source, target)
        listing = Beside(lambda: self._await_catalogue(target, done.digest))
        held = self._reader.digest(target.repository, target.tag)
        if held != done.digest:
            raise RemoteError(
                f"the registry has {held!r} under {target.uri!r}, but {done.digest!r} was pushed"
            )
        listing.result()
        manifest = self._reader.manifest(target.repository, done.digest)
        image = self._engine.find(source)
        layers = image.layers if image else ()
        new = sum(
            size for diff, size in zip(layers, manifest.layer_bytes, strict=False) if diff in done.uploaded
        )
        return replace(done, size_bytes=manifest.size_bytes, new_layer_bytes=new)

    def _await_catalogue(self, target: Target, digest: str) -> None:
        """ECR's catalogue may lag behind its registry: polls for a bounded time."""
        poll = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda found: found != digest),
            stop=tenacity.stop_after_delay(self._wait_s),
            wait=tenacity.wait_exponential(multiplier=0.02, max=2),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        found = poll(self._ecr.catalogued_digest, target.repository, target.tag)
        if found != digest:
            raise RemoteError(
                f"ECR lists {found!r} for {target.repository}:{target.tag} after {self._wait_s:.0f} s, "
                f"but {digest!r} was pushed. Someone else may push the same tag: set another [registry] tag"
            )


def is_transient(error: BaseException) -> bool:
    """Busy or broken, unless it was tried again already where it happened."""
    if getattr(error, "retried", False):
        return False
    return isinstance(error, RemoteError) and TRANSIENT.search(str(error)) is not None


def taken(target: Target) -> RemoteError:
    """A tag that exists in a repository with immutable tags."""
    return RemoteError(
        f"another image was pushed as {target.uri!r} before, and tags of this repository are immutable: none is "
        f"ever replaced. Type: shardyard build-and-push --tag NEW, or set another [registry] tag"
    )


def publisher(
    engine: Source,
    ecr: Ecr,
    credentials: Credentials,
    reader: Reader,
    immutable: bool = False,
    wait_s: float = CATALOGUE_WAIT_S,
) -> Publisher:
    """Push, retried, then verified; `immutable`: the repository's tags never move."""
    pushing: Publisher = Retrying(PushPublisher(engine, credentials))
    if immutable:
        pushing = Settled(pushing, engine, reader)
    return Verified(pushing, engine, ecr, reader, wait_s)
