"""The engine that needs no daemon and no root."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from shardyard.engines.base import Credentials, HistoryLine, Listener, LocalImage, PushedImage, Recipe
from shardyard.engines.choice import Renew
from shardyard.engines.direct import run_lines
from shardyard.engines.direct.build import Builder
from shardyard.engines.direct.context import Context
from shardyard.engines.direct.file_tree import merged
from shardyard.engines.direct.image_config import ImageConfig
from shardyard.engines.direct.layer_index import NOTED, LayerIndex, scan
from shardyard.engines.direct.reader import KeptReader
from shardyard.engines.direct.run_lines import RunLines
from shardyard.engines.direct.store import Record, Store, descriptor
from shardyard.engines.direct.target_python import TargetPython, find
from shardyard.engines.direct.transfer import Action, Destination, Transfer, together
from shardyard.engines.progress import silent
from shardyard.errors import JobError, ProjectError, RemoteError
from shardyard.image import labels
from shardyard.image.dockerfile import expanded, parse
from shardyard.registry.oci.auth import Authorized
from shardyard.registry.oci.blobs import CHUNK, Blobs
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
        return self._described(reference, record) if record is not None else None

    def _described(self, reference: str, record: Record) -> LocalImage:
        manifest, config = self.store.manifest(record), self.store.config(record)
        return LocalImage(
            reference,
            manifest.config.digest,
            manifest.config.size + sum(one.size for one in manifest.layers),
            tuple(config["rootfs"]["diff_ids"]),
            (manifest.digest,),
            manifest.digest,
            f"{config.get('os')}/{config.get('architecture')}",
            (config.get("config") or {}).get("Labels") or {},
        )

    def pull(self, reference: str, platform: str, credentials: Credentials | None) -> LocalImage:
        """Learns what the image is; its layers stay where they are."""
        return self._described(reference, self._look_up(reference, platform, credentials))

    def build(self, recipe: Recipe) -> LocalImage:
        tag, platform = recipe.tag, recipe.platform
        opened = Context(recipe.context)
        name = base_name(opened.dockerfile)
        base = self._base(name, platform, fresh=recipe.no_cache)
        under = self.store.manifest(base)
        config = ImageConfig(self.store.config(base))
        target = partial(self.target_python, base, config.env)
        builder = Builder(opened, config, self.store, RunLines(target, platform), self.listener)
        builder.all()
        config.add_labels(labels.of_base(name, base.base.partition("@")[2], len(under.layers)))
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
        transfer = Transfer(self.destination(target, credentials), self.store, self.listener)
        together(self._base_actions(transfer, record, self.store.manifest(record)))

    def push(self, source: str, target: str, credentials: Credentials) -> PushedImage:
        record = self._built(source)
        manifest = self.store.manifest(record)
        to = self.destination(target, credentials)
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
        to = self.destination(target, credentials)
        return KeptReader(to.repository, to.previous is not None, self.store)

    def history(self, reference: str) -> tuple[HistoryLine, ...]:
        record = self._built(reference)
        sizes = iter(one.size for one in self.store.manifest(record).layers)
        return tuple(
            HistoryLine(str(one.get("created_by") or ""), 0 if one.get("empty_layer") else next(sizes, 0))
            for one in self.store.config(record).get("history") or ()
        )

    def contents(self, reference: str) -> LayerIndex:
        record = self._built(reference)
        layers = self.store.manifest(record).layers
        blobs = self._blobs_of_base(record)
        indices = [self.index(blobs, one) for one in layers[: record.base_layers]]
        for one in layers[record.base_layers :]:
            with self.store.blob_path(one.digest).open("rb") as file:
                indices.append(scan(iter(lambda: file.read(CHUNK), b"")))
        return merged(indices)

    def _built(self, reference: str) -> Record:
        record = self.store.find(reference)
        if record is None:
            raise JobError(
                f"the direct engine holds no image {reference!r}. Type: shardyard build --engine direct"
            )
        return record

    def target_python(self, base: Record, env: dict[str, str]) -> TargetPython:
        """The base's Python; found once a base, by a look into layers that nobody has looked into yet."""
        key = base.manifest
        known = self.store.noted("pythons", key)
        if known is None:
            blobs = self._blobs_of_base(base)
            indices = [self.index(blobs, one) for one in self.store.manifest(base).layers]
            known = find(merged(indices), env).as_dict()
            self.store.note("pythons", key, known)
        return TargetPython.of(known)

    def _blobs_of_base(self, record: Record) -> Blobs:
        origin = parse_reference(record.base)
        return Blobs(self.repository(origin.host, origin.repository))

    def index(self, blobs: Blobs, layer: Descriptor) -> LayerIndex:
        known = self.store.noted(NOTED, layer.digest)
        if known is not None:
            return LayerIndex(**known)
        self.listener(
            {"status": f"looking into layer {layer.digest[7:19]} of the base ({layer.size >> 20} MB)"}
        )
        found = self._patience.run(lambda: scan(blobs.read(layer)))
        self.store.note(NOTED, layer.digest, found.as_dict())
        return found

    def _base(self, name: str, platform: str, fresh: bool = False) -> Record:
        known = None if fresh else self.store.find(name)
        if known is not None and self._described(name, known).is_for(platform):
            return known
        found = self._look_up(name, platform, None)
        self._described(name, found).require(platform)
        return found

    def _look_up(self, name: str, platform: str, credentials: Credentials | None) -> Record:
        reference = parse_reference(name)
        repository = self.repository(reference.host, reference.repository, credentials)
        manifest = repository.manifest(reference.version, platform)
        if manifest is None:
            raise RemoteError(f"the registry {reference.host!r} has no image {name!r}")
        config = repository.small_blob(manifest.config.digest)
        origin = f"{reference.host}/{reference.repository}@{manifest.digest}"
        return self.store.save(name, manifest, config, origin, len(manifest.layers))

    def _base_actions(self, transfer: Transfer, record: Record, manifest: ImageManifest) -> list[Action]:
        origin = parse_reference(record.base)
        repository = self.repository(origin.host, origin.repository)
        unique = {one.digest: one for one in manifest.layers[: record.base_layers]}.values()
        return [partial(transfer.foreign, one, repository) for one in unique]

    def destination(self, target: str, credentials: Credentials) -> Destination:
        if target not in self._destinations:
            reference = parse_reference(target)
            repository = self.repository(reference.host, reference.repository, credentials)
            self._destinations[target] = Destination.of(repository, reference.version)
        return self._destinations[target]

    def repository(self, host: str, name: str, credentials: Credentials | None = None) -> Repository:
        if host not in self._signed:
            self._signed[host] = Authorized(self._http, host, partial(self.sign_in, host), credentials)
        return Repository(self._signed[host], host, name, self._patience)


def base_name(dockerfile: str) -> str:
    """What the FROM line names."""
    first = next(parse(dockerfile), None)
    if first is None or first.name != "FROM":
        raise ProjectError("the Dockerfile does not begin with FROM")
    return expanded(first.text, {}).split()[0]
