"""What a registry holds after a push, asked over the connections that the push used."""

from __future__ import annotations

from shardyard.engines.direct.store import Store
from shardyard.errors import RemoteError
from shardyard.registry.manifest import Manifest
from shardyard.registry.oci.client import Repository
from shardyard.registry.oci.manifests import ImageManifest


class KeptReader:
    """Reads as RegistryReader does."""

    def __init__(self, repository: Repository, exists: bool, store: Store) -> None:
        self._repository, self.exists, self._store = repository, exists, store

    def sign_in(self) -> None:
        """Nothing to do: what reached the repository has signed in."""

    def digest(self, repository: str, reference: str) -> str | None:
        return self._repository.digest(reference)

    def manifest(self, repository: str, digest: str) -> Manifest:
        """The bytes of a digest are the same everywhere: what lies here is not fetched."""
        if self._store.blob_path(digest).exists():
            found: ImageManifest | None = ImageManifest.parse(self._store.get(digest))
        else:
            found = self._repository.manifest(digest)
        if found is None:
            raise RemoteError(
                f"the registry {self._repository.host!r} has no manifest {digest!r} of {repository!r}"
            )
        return Manifest(found.digest, found.config.size, tuple(one.size for one in found.layers))
