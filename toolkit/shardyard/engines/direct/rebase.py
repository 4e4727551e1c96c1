"""A patched base under an image that is there: new layers below, the same layers on top, nothing built.

The image says in its labels what it stands on and what was done to that. What was done is done again to the
configuration of the new base; the layers on top stay the very same blobs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

from shardyard.engines.base import Credentials, LocalImage, PushedImage
from shardyard.engines.direct.engine import DirectEngine
from shardyard.engines.direct.image_config import ImageConfig
from shardyard.engines.direct.rebase_checks import Upper, reasons_against
from shardyard.engines.direct.registered import Registered
from shardyard.engines.direct.settings import Settings
from shardyard.engines.direct.transfer import Transfer, together
from shardyard.errors import ProjectError, RemoteError
from shardyard.image.labels import BASE_DIGEST, BASE_LAYERS, BASE_NAME, DOCKERFILE, dockerfile_of, of_base
from shardyard.image.layer_report import own_steps
from shardyard.registry.oci.blobs import Blobs
from shardyard.registry.oci.manifests import CONFIG_TYPE, LAYER_TYPE, Descriptor, ImageManifest, digest_of
from shardyard.registry.oci.reference import parse as parse_reference

_BUILD = "Build it anew instead: shardyard build-and-push"
# The settings that a replay has to give back; what else a builder writes says nothing.
_SETTINGS = (
    "Env",
    "User",
    "WorkingDir",
    "Entrypoint",
    "Cmd",
    "ExposedPorts",
    "Volumes",
    "StopSignal",
    "Shell",
)


@dataclass(frozen=True)
class Rebase:
    """An image of a registry, and the base that comes under it. `read` finds both and refuses what cannot work."""

    engine: DirectEngine
    image: Registered
    dockerfile: str
    old: Registered
    new: Registered

    @classmethod
    def read(
        cls, engine: DirectEngine, image: str, base: str | None, platform: str, credentials: Credentials
    ) -> Rebase:
        found = Registered.read(engine, image, platform, credentials)
        labels = found.labels
        dockerfile = dockerfile_of(labels)
        if dockerfile is None or not {BASE_NAME, BASE_DIGEST, BASE_LAYERS} <= set(labels):
            raise ProjectError(
                f"{image!r} does not say which image of a registry it stands on: it was not built by shardyard, or "
                f"on a base that only its machine had. {_BUILD}"
            )
        name, digest = labels[BASE_NAME], labels[BASE_DIGEST]
        place = parse_reference(name)
        try:
            old = Registered.read(engine, f"{place.host}/{place.repository}@{digest}", platform)
        except RemoteError as error:
            raise RemoteError(
                f"the base that {image!r} stands on cannot be read: {error.message}. {_BUILD}"
            ) from error
        rebase = cls(engine, found, dockerfile, old, Registered.read(engine, base or name, platform))
        if not rebase.nothing_to_do:
            rebase._check()
        return rebase

    @property
    def nothing_to_do(self) -> bool:
        return self.new.manifest.digest == self.old.manifest.digest

    def push(self, source: str, target: str, credentials: Credentials) -> PushedImage:
        """Satisfies `Source`: brings the new base's layers there, and puts the rebased image under the target's tag."""
        raw, manifest = self._config(), self.manifest
        to = self.engine.destination(target, credentials)
        if parse_reference(target).repository == self.image.repository.name:
            to.present.update(one.digest for one in self._upper_blobs)  # the image that names them lies there
        transfer = Transfer(to, self.engine.store, self.engine.listener)
        self.engine.store.put(raw)
        below = {one.digest: one for one in self.new.manifest.layers}.values()
        actions = [partial(transfer.foreign, one, self.new.repository) for one in below]
        actions += [partial(transfer.foreign, one, self.image.repository) for one in self._upper_blobs]
        together([*actions, partial(transfer.own, manifest.config)])
        to.repository.put_manifest(parse_reference(target).version, manifest)
        uploaded = [
            diff
            for diff, one in zip(self._diff_ids, manifest.layers, strict=True)
            if one.digest in to.uploaded
        ]
        return PushedImage(manifest.digest, tuple(uploaded))

    def find(self, reference: str) -> LocalImage:
        """The rebased image."""
        manifest = self.manifest
        return LocalImage(
            reference,
            manifest.config.digest,
            manifest.config.size + sum(one.size for one in manifest.layers),
            tuple(self._diff_ids),
            (manifest.digest,),
            manifest.digest,
            self.new.platform,
        )

    @property
    def manifest(self) -> ImageManifest:
        """Of the new base's kind, as an image built on it would be."""
        raw, kind = self._config(), self.new.manifest.media_type
        on_top = [Descriptor(LAYER_TYPE[kind], one.digest, one.size) for one in self._upper_blobs]
        config = Descriptor(CONFIG_TYPE[kind], digest_of(raw), len(raw))
        return ImageManifest.make(kind, config, (*self.new.manifest.layers, *on_top))

    @property
    def _upper_blobs(self) -> tuple[Descriptor, ...]:
        return self.image.manifest.layers[len(self.old.diff_ids) :]

    @property
    def _diff_ids(self) -> list[str]:
        return [*self.new.diff_ids, *self.image.diff_ids[len(self.old.diff_ids) :]]

    def _config(self) -> bytes:
        config = ImageConfig(self.new.config)
        config.settings = replayed(self.new.config, self.dockerfile)
        inherited = {**self.old.labels, **replayed(self.old.config, self.dockerfile).get("Labels", {})}
        of_build = {name: value for name, value in self.image.labels.items() if inherited.get(name) != value}
        dockerfile = self.dockerfile.replace(
            f"FROM {self.image.labels[BASE_NAME]}\n", f"FROM {self.new.name}\n"
        )
        config.add_labels(
            {
                **of_build,
                DOCKERFILE: json.dumps(dockerfile),
                **of_base(self.new.name, self.new.manifest.digest, len(self.new.diff_ids)),
            }
        )
        config.stack(self._diff_ids[len(self.new.diff_ids) :], self.image.history[len(self.old.history) :])
        return config.raw()

    def _check(self) -> None:
        below = len(self.old.diff_ids)
        if self.image.diff_ids[:below] != self.old.diff_ids:
            reasons = [f"its lowest {below} layers are not those of {self.old.name!r}, which its labels name"]
        elif _compared(replayed(self.old.config, self.dockerfile)) != _compared(self.image.settings):
            reasons = [
                "its settings are not what its Dockerfile makes of its base: it was changed after its build"
            ]
        else:
            upper = Upper.read(self.image, below, self.engine.store)
            indices = [self.engine.index(Blobs(self.new.repository), one) for one in self.new.manifest.layers]
            reasons = reasons_against(self.image, upper, self.new, indices, self.dockerfile)
        if reasons:
            lines = "".join(f"\n- {one}" for one in reasons)
            raise ProjectError(f"{self.image.name!r} cannot be put onto {self.new.name!r}:{lines}\n{_BUILD}")


def replayed(base: dict[str, Any], dockerfile: str) -> dict[str, Any]:
    """The settings that the Dockerfile makes of those of a base."""
    config = ImageConfig(json.loads(json.dumps(base)))
    settings = Settings(config)
    for step in own_steps(dockerfile):
        if step.name not in ("RUN", "ADD", "COPY") and not settings.apply(step):
            raise ProjectError(f"an image with {str(step)!r} in its Dockerfile cannot be rebased. {_BUILD}")
    return config.settings


def _compared(settings: dict[str, Any]) -> dict[str, Any]:
    found = {name: settings.get(name) or None for name in _SETTINGS}
    return {**found, "Env": sorted(settings.get("Env") or ())}
