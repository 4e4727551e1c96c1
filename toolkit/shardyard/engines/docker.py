"""The Docker engine, through docker-py's low-level API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from shardyard.engines import buildkit
from shardyard.engines.base import (
    Credentials,
    HistoryLine,
    Listener,
    LocalImage,
    PushedImage,
    Recipe,
    wrong_password,
)
from shardyard.engines.connect import answering, connect
from shardyard.engines.progress import silent
from shardyard.engines.stream import StreamError, aux, build_failed, checked, uploaded_layers
from shardyard.errors import JobError, RemoteError

if TYPE_CHECKING:
    from shardyard.engines.direct.layer_index import LayerIndex

SHORT_ID = 12


def split_reference(reference: str) -> tuple[str, str]:
    """`host:5000/name:tag` to repository and tag (`latest` where there is none); a digest counts as a tag."""
    if "@" in reference:
        head, _, digest = reference.partition("@")
        return head, digest
    head, colon, tag = reference.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (reference, "latest")


class DockerEngine:
    """Satisfies `Engine`. `listener` is told of every event of every stream."""

    def __init__(self, client: docker.DockerClient | None = None, listener: Listener = silent) -> None:
        self._client = client or connect()
        self._listener = listener

    def build(self, recipe: Recipe) -> LocalImage:
        if recipe.secrets:
            buildkit.build(recipe, self._listener)
        else:
            self._build(recipe)
        built = self.find(recipe.tag)
        if built is None:
            raise JobError(f"the build of {recipe.tag!r} ended without an error and without an image")
        return built

    def _build(self, recipe: Recipe) -> None:
        tag = recipe.tag
        try:
            with answering(f"the build of {tag!r}"):
                events = self._client.api.build(
                    fileobj=recipe.context,
                    custom_context=True,
                    tag=tag,
                    platform=recipe.platform,
                    nocache=recipe.no_cache,
                    rm=True,
                    forcerm=True,
                    network_mode="host",
                    decode=True,
                )
                for _ in checked(events, self._listener):
                    pass
        except StreamError as error:
            raise build_failed(tag, error) from error
        except APIError as error:
            raise JobError(f"the engine refused to build {tag!r}: {error.explanation or error}") from error

    def find(self, reference: str) -> LocalImage | None:
        try:
            facts = self._client.api.inspect_image(reference)
        except ImageNotFound:
            return None
        own = split_reference(reference)[0] + "@"
        digests = facts.get("RepoDigests") or ()
        return LocalImage(
            reference,
            facts["Id"],
            int(facts["Size"]),
            tuple((facts.get("RootFS") or {}).get("Layers") or ()),
            tuple(one.partition("@")[2] for one in digests),
            next((one.partition("@")[2] for one in digests if one.startswith(own)), None),
            f"{facts.get('Os')}/{facts.get('Architecture')}",
            (facts.get("Config") or {}).get("Labels") or {},
        )

    def history(self, reference: str) -> tuple[HistoryLine, ...]:
        held = self._held(reference)
        lines = self._client.api.history(held.image_id)
        return tuple(HistoryLine(str(one["CreatedBy"]), int(one["Size"])) for one in reversed(lines))

    def contents(self, reference: str) -> LayerIndex:
        from shardyard.engines.direct.layer_index import scan  # late: only a bill of materials asks for it

        held = self._held(reference)
        with answering(f"the export of {reference!r}"):
            container = self._client.api.create_container(held.image_id, command=["never-started"])["Id"]
            try:
                return scan(self._client.api.export(container))
            finally:
                self._client.api.remove_container(container, force=True, v=True)

    def _held(self, reference: str) -> LocalImage:
        image = self.find(reference)
        if image is None:
            raise JobError(f"the engine holds no image {reference!r}. Type: shardyard build")
        return image

    def pull(self, reference: str, platform: str, credentials: Credentials | None) -> LocalImage:
        repository, tag = split_reference(reference)
        auth = credentials.auth_config() if credentials else None
        try:
            with answering(f"the pull of {reference!r}"):
                events = self._client.api.pull(
                    repository, tag=tag, platform=platform, auth_config=auth, stream=True, decode=True
                )
                for _ in checked(events, self._listener):
                    pass
        except (StreamError, APIError) as error:
            said = error.message if isinstance(error, StreamError) else (error.explanation or str(error))
            raise RemoteError(refused("pull", reference, said)) from error
        pulled = self.find(reference)
        if pulled is None:
            raise RemoteError(
                f"the pull of {reference!r} ended without an image; is it built for {platform!r}?"
            )
        return pulled

    def push(self, source: str, target: str, credentials: Credentials) -> PushedImage:
        repository, tag = split_reference(target)
        image = self._held(source)
        try:
            with answering(f"the push of {target!r}"), self._tagged(source, target):
                events = self._client.api.push(
                    repository, tag=tag, auth_config=credentials.auth_config(), stream=True, decode=True
                )
                digest, seen = aux(checked(events, self._listener), "Digest")
                if digest is None:
                    raise RemoteError(
                        f"the push of {target!r} ended without a digest; nothing is known of its success"
                    )
        except StreamError as error:
            raise RemoteError(refused("push", target, error.message)) from error
        except APIError as error:
            raise RemoteError(refused("push", target, error.explanation or str(error))) from error
        sent = uploaded_layers(seen)
        uploaded = tuple(d for d in image.layers if d.partition(":")[2][:SHORT_ID] in sent)
        return PushedImage(digest, uploaded)

    @contextmanager
    def _tagged(self, source: str, target: str) -> Iterator[None]:
        """The target's tag on the image; a push that fails leaves the tag as it found it."""
        before = self.find(target)
        self._client.api.tag(source, *split_reference(target))
        try:
            yield
        except BaseException:
            with suppress(DockerException, requests.exceptions.RequestException):
                if before is not None:
                    self._client.api.tag(before.image_id, *split_reference(target))
                else:
                    self._client.api.remove_image(target)
            raise


def refused(verb: str, reference: str, said: str) -> str:
    """The text of a refused pull or push; a wrong password is named as such."""
    host = reference.partition("/")[0]
    low = said.lower()
    if "unauthorized" in low or "authentication required" in low or "no basic auth" in low:
        return f"cannot {verb} {reference!r}: {wrong_password(host, said)}"
    if "denied" in low or "forbidden" in low:
        right = {"push": "ecr:PutImage", "pull": "ecr:BatchGetImage"}[verb]
        return (
            f"the registry {host!r} denied the {verb} of {reference!r}: {said}. Its owner must grant {right}"
        )
    return f"the {verb} of {reference!r} failed: {said}"
