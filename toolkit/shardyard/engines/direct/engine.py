"""The engine that needs no daemon and no root."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from shardyard.engines.base import Credentials, Listener, LocalImage, PushedImage
from shardyard.engines.choice import Renew
from shardyard.engines.direct import run_lines
from shardyard.engines.direct.build import Builder
from shardyard.engines.direct.context import Context
from shardyard.engines.direct.dockerfile import expanded, parse
from shardyard.engines.direct.file_tree import merged
from shardyard.engines.direct.image_config import BASE_DIGEST, BASE_NAME, ImageConfig
from shardyard.engines.direct.layer_index import LayerIndex, scan
from shardyard.engines.direct.reader import KeptReader
from shardyard.engines.direct.run_lines import RunLines
from shardyard.engines.direct.store import Record, Store, descriptor
from shardyard.engines.direct.target_python import TargetPython, find
from shardyard.engines.direct.transfer import Action, Destination, Transfer, together
from shardyard.engines.progress import silent
from shardyard.errors import JobError, ProjectError, RemoteError
from shardyard.registry.oci.auth import Authorized
from shardyard.registry.oci.blobs import Blobs
from shardyard.registry.oci.client import Repository
from shardyard.registry.oci.manifests import CONFIG_TYPE, LAYER_TYPE, Descriptor, ImageManifest, digest_of
from shardyard.registry.oci.reference import parse as parse_reference
from shardyard.registry.oci.retry import Patience
from shardyard.registry.oci.transport import Http, Transport

SignIn = Callable[[str], Credentials | None]


def nobody(host: str) -> None:
    """No password for any registry."""


class DirectEngine:
    """Satisfies `Engine`. `sign_in` gives the credentials of a registry, anew each time it is asked."""

    def __init__(
        self,
        listener: Listener = silent,
        sign_in: SignIn = nobody,
        store: Store | None = None,
        transport: Transport | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.store = store or Store()
        self.listener, self.sign_in = listener, sign_in
        self._http = transport or Http()
        self._patience = patience or Patience()
        self._signed: dict[str, Transport] = {}
        self._destinations: dict[str, Destination] = {}

    def find(self, reference: str) -> LocalImage | None:
        record = self.store.find(reference)
        if record is None:
            return None
        manifest = self.store.manifest(record)
        layers = tuple(self.store.config(record)["rootfs"]["diff_ids"])
        size = manifest.config.size + sum(one.size for one in manifest.layers)
        return LocalImage(reference, manifest.config.digest, size, layers, (manifest.digest,))

    def pull(self, reference: str, platform: str, credentials: Credentials | None) -> LocalImage:
        """Learns what the image is; its layers stay where they are."""
        self._look_up(reference, platform, credentials)
        found = self.find(reference)
        assert found is not None
        return found

    def build(self, context: BinaryIO, tag: str, platform: str, no_cache: bool = False) -> LocalImage:
        opened = Context(context)
        name = base_name(opened.dockerfile)
        base = self._base(name, platform, fresh=no_cache)
        under = self.store.manifest(base)
        config = ImageConfig(self.store.config(base))
        target = partial(self.target_python, base, config.env)
        builder = Builder(opened, config, self.store, RunLines(target, platform), self.listener)
        builder.all()
        config.add_labels({BASE_NAME: name, BASE_DIGEST: base.base.partition("@")[2]})
        raw = config.raw()
        manifest = ImageManifest.make(
            under.media_type,
            Descriptor(CONFIG_TYPE[under.media_type], digest_of(raw), len(raw)),
            (*under.layers, *(descriptor(one, LAYER_TYPE[under.media_type]) for one in builder.layers)),
        )
        self.store.save(tag, manifest, raw, base.base, len(under.layers))
        self.store.sweep()
        built = self.find(tag)
        if built is None:
            raise JobError(f"the image {tag!r} was built and is gone; does another process empty the cache?")
        return built

    def refuse(self, dockerfile: str) -> None:
        run_lines.refuse(dockerfile)

    def stage(self, base: str, target: str, credentials: Credentials, platform: str) -> None:
        """Brings the base's layers to the target ahead of the build, which may want to look into them: what
        is streamed is looked into on its way, and comes over the line once."""
        record = self._base(base, platform)
        transfer = Transfer(self._destination(target, credentials), self.store, self.listener)
        together(self._base_actions(transfer, record, self.store.manifest(record)))

    def push(self, source: str, target: str, credentials: Credentials) -> PushedImage:
        record = self.store.find(source)
        if record is None:
            raise JobError(
                f"the direct engine holds no image {source!r}. Type: shardyard build --engine direct"
            )
        manifest = self.store.manifest(record)
        to = self._destination(target, credentials)
        transfer = Transfer(to, self.store, self.listener)
        own = manifest.layers[record.base_layers :]
        actions: list[Action] = [partial(transfer.own, one) for one in (*own, manifest.config)]
        together([*actions, *self._base_actions(transfer, record, manifest)])
        tag = parse_reference(target).version
        if to.previous is None or to.previous.raw != manifest.raw:
            to.repository.put_manifest(tag, manifest)
        self.listener({"status": f"{tag}: digest: {manifest.digest} size: {len(manifest.raw)}"})
        diff_ids = self.store.config(record)["rootfs"]["diff_ids"]
        pairs = zip(diff_ids, manifest.layers, strict=True)
        return PushedImage(manifest.digest, tuple(diff for diff, one in pairs if one.digest in to.uploaded))

    def reader(self, target: str, credentials: Credentials, renew: Renew) -> KeptReader:
        """Reads the target's repository, over the connections of the push; `renew` signs in to it anew."""
        host = parse_reference(target).host
        self._signed[host] = Authorized(self._http, host, renew, credentials)
        to = self._destination(target, credentials)
        return KeptReader(to.repository, to.previous is not None, self.store)

    def target_python(self, base: Record, env: dict[str, str]) -> TargetPython:
        """The base's Python; found once a base, by a look into layers that nobody has looked into yet."""
        key = base.manifest
        known = self.store.noted("pythons", key)
        if known is None:
            origin = parse_reference(base.base)
            blobs = Blobs(self._repository(origin.host, origin.repository))
            indices = [self._index(blobs, one) for one in self.store.manifest(base).layers]
            known = find(merged(indices), env).as_dict()
            self.store.note("pythons", key, known)
        return TargetPython.of(known)

    def _index(self, blobs: Blobs, layer: Descriptor) -> LayerIndex:
        known = self.store.noted("indices", layer.digest)
        if known is not None:
            return LayerIndex(**known)
        self.listener(
            {"status": f"looking into layer {layer.digest[7:19]} of the base ({layer.size >> 20} MB)"}
        )
        found = self._patience.run(lambda: scan(blobs.read(layer)))
        self.store.note("indices", layer.digest, found.as_dict())
        return found

    def _base(self, name: str, platform: str, fresh: bool = False) -> Record:
        found = None if fresh else self.store.find(name)
        if found is None or not _fits(self.store.config(found), platform):
            found = self._look_up(name, platform, None)
        return found

    def _look_up(self, name: str, platform: str, credentials: Credentials | None) -> Record:
        reference = parse_reference(name)
        repository = self._repository(reference.host, reference.repository, credentials)
        manifest = repository.manifest(reference.version, platform)
        if manifest is None:
            raise RemoteError(f"the registry {reference.host!r} has no image {name!r}")
        config = repository.small_blob(manifest.config.digest)
        origin = f"{reference.host}/{reference.repository}@{manifest.digest}"
        found = self.store.save(name, manifest, config, origin, len(manifest.layers))
        if not _fits(self.store.config(found), platform):
            raise ProjectError(f"the base {name!r} is not built for {platform!r}. Set [image] platform")
        return found

    def _base_actions(self, transfer: Transfer, record: Record, manifest: ImageManifest) -> list[Action]:
        origin = parse_reference(record.base)
        repository = self._repository(origin.host, origin.repository)
        unique = {one.digest: one for one in manifest.layers[: record.base_layers]}.values()
        return [partial(transfer.foreign, one, repository) for one in unique]

    def _destination(self, target: str, credentials: Credentials) -> Destination:
        if target not in self._destinations:
            reference = parse_reference(target)
            repository = self._repository(reference.host, reference.repository, credentials)
            self._destinations[target] = Destination.of(repository, reference.version)
        return self._destinations[target]

    def _repository(self, host: str, name: str, credentials: Credentials | None = None) -> Repository:
        if host not in self._signed:
            self._signed[host] = Authorized(self._http, host, partial(self.sign_in, host), credentials)
        return Repository(self._signed[host], host, name, self._patience)


def base_name(dockerfile: str) -> str:
    """What the FROM line names."""
    first = next(parse(dockerfile), None)
    if first is None or first.name != "FROM":
        raise ProjectError("the Dockerfile does not begin with FROM")
    return expanded(first.text, {}).split()[0]


def _fits(config: dict[str, object], platform: str) -> bool:
    system, _, machine = platform.partition("/")
    return config.get("os") == system and config.get("architecture") == machine.partition("/")[0]
