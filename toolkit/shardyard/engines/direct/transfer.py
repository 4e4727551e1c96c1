"""The way of an image's blobs into a repository: what is there stays, then mount, then stream."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from shardyard.engines.base import Listener
from shardyard.engines.direct.layer_index import NOTED, LayerIndex, scan
from shardyard.engines.direct.store import Store
from shardyard.errors import ProjectError
from shardyard.registry.oci.blobs import CHUNK, Blobs, BlobStore, Source
from shardyard.registry.oci.client import Repository
from shardyard.registry.oci.errors import RegistryError
from shardyard.registry.oci.manifests import Descriptor, ImageManifest
from shardyard.registry.oci.transport import CONNECTIONS

Action = Callable[[], None]
_QUEUED = 8
_NOT_WORTH_ASKING = 64 * 1024  # to ask whether it is there takes as long as to send it


@dataclass
class Destination:
    """A repository that is being pushed to. What the image under the tag names is there: the registry keeps
    no manifest with a missing blob."""

    repository: Repository
    previous: ImageManifest | None
    present: set[str] = field(default_factory=set)
    uploaded: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, repository: Repository, tag: str) -> Destination:
        try:
            previous = repository.manifest(tag)
        except ProjectError:
            previous = None  # an index without our platform
        except RegistryError as error:
            if error.status:
                raise
            previous = None  # something that is no image of one platform lies under the tag
        known = {previous.config.digest, *(one.digest for one in previous.layers)} if previous else set()
        return cls(repository, previous, known)


class Reported:
    """A BlobStore that tells the listener what it does, in the words of the Docker engine."""

    def __init__(self, inner: BlobStore, listener: Listener, lock: threading.Lock) -> None:
        self._inner, self._listener, self._lock = inner, listener, lock

    def has(self, digest: str) -> bool:
        found = self._inner.has(digest)
        if found:
            self.say(digest, "Layer already exists")
        return found

    def mount(self, digest: str, origin: str) -> bool:
        done = self._inner.mount(digest, origin)
        if done:
            self.say(digest, f"Mounted from {origin}")
        return done

    def upload(self, blob: Descriptor, source: Source) -> None:
        def counted() -> Iterator[bytes]:
            done = 0
            for chunk in source():
                yield chunk
                done += len(chunk)
                self.say(blob.digest, "Pushing", {"current": done, "total": blob.size})

        self._inner.upload(blob, counted)
        self.say(blob.digest, "Pushed")

    def say(self, digest: str, status: str, detail: object = None) -> None:
        with self._lock:
            self._listener({"id": digest.partition(":")[2][:12], "status": status, "progressDetail": detail})


class Transfer:
    """Sends blobs to one destination, several at a time."""

    def __init__(self, to: Destination, store: Store, listener: Listener) -> None:
        self.to, self._store = to, store
        self._blobs = Reported(Blobs(to.repository), listener, threading.Lock())

    def own(self, blob: Descriptor) -> None:
        """A blob that lies on this machine."""
        small = blob.size <= _NOT_WORTH_ASKING and blob.digest not in self.to.present
        if not small and self._there(blob.digest):
            return
        self._blobs.upload(blob, lambda: _read(self._store, blob.digest))
        self._sent(blob.digest)

    def foreign(self, blob: Descriptor, origin: Repository) -> None:
        """A blob of another repository: taken over there, or streamed through, looked into on its way."""
        if self._there(blob.digest):
            return
        if origin.host == self.to.repository.host and self._blobs.mount(blob.digest, origin.name):
            self.to.present.add(blob.digest)
            return

        def source() -> Iterator[bytes]:
            chunks = Blobs(origin).unchecked(blob)  # upload checks what it sends
            if self._store.noted(NOTED, blob.digest) is not None:
                return chunks
            return scanned(chunks, lambda index: self._store.note(NOTED, blob.digest, index.as_dict()))

        self._blobs.upload(blob, source)
        self._sent(blob.digest)

    def _there(self, digest: str) -> bool:
        if digest in self.to.present:
            self._blobs.say(digest, "Layer already exists")
            return True
        if self._blobs.has(digest):
            self.to.present.add(digest)
            return True
        return False

    def _sent(self, digest: str) -> None:
        self.to.present.add(digest)
        self.to.uploaded.add(digest)


def together(actions: list[Action]) -> None:
    """All at once, as far as connections go; raises the first error after all have ended."""
    with ThreadPoolExecutor(max(1, min(CONNECTIONS, len(actions)))) as pool:
        running = [pool.submit(one) for one in actions]
        failed = next((one for one in running if one.exception() is not None), None)
        if failed is not None:
            for one in running:
                one.cancel()
            failed.result()


def _read(store: Store, digest: str) -> Iterator[bytes]:
    with store.blob_path(digest).open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def scanned(chunks: Iterator[bytes], done: Callable[[LayerIndex], None]) -> Iterator[bytes]:
    """The same chunks, while a thread beside looks into them; a few wait in between, never more."""
    waiting: queue.Queue[bytes | None] = queue.Queue(_QUEUED)
    found: list[LayerIndex] = []

    def feed() -> Iterator[bytes]:
        while (chunk := waiting.get()) is not None:
            yield chunk

    def look() -> None:
        given = feed()
        try:
            found.append(scan(given))
        except Exception:  # what cannot be looked into can still be passed on; build says so when it matters
            found.clear()
        for _ in given:
            pass

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    whole = False
    try:
        for chunk in chunks:
            waiting.put(chunk)
            yield chunk
        whole = True
    finally:
        waiting.put(None)
        thread.join()
        if whole and found:
            done(found[0])
