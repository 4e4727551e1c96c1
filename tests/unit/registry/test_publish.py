from __future__ import annotations

from typing import Any

import pytest

from shardyard.engines.base import LocalImage
from shardyard.errors import RemoteError
from shardyard.registry.manifest import Manifest
from shardyard.registry.publish import (
    Published,
    PushPublisher,
    Retrying,
    Settled,
    Target,
    Verified,
    is_transient,
)

TARGET = Target("h", "repo", "1")
DONE = Published(TARGET.uri, "sha256:1", ("b",))


class Inner:
    def __init__(self, errors: list[RemoteError]) -> None:
        self.errors, self.calls = errors, 0

    def publish(self, source: str, target: Target) -> Published:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return DONE


class World:
    """Engine, catalogue and registry at once."""

    def __init__(self, held: str | None, catalogue: list[str | None]) -> None:
        self.held, self.catalogue = held, catalogue

    def find(self, reference: str) -> LocalImage:
        return LocalImage(reference, "id", 1, ("a", "b"))

    def digest(self, repository: str, tag: str) -> str | None:
        return self.held

    def manifest(self, repository: str, digest: str) -> Manifest:
        return Manifest(digest, 5, (100, 20))

    def catalogued_digest(self, name: str, tag: str) -> str | None:
        return self.catalogue.pop(0) if len(self.catalogue) > 1 else self.catalogue[0]


def verified(world: Any, wait_s: float = 2.0) -> Verified:
    return Verified(Inner([]), world, world, world, wait_s)


def test_retries_a_broken_line() -> None:
    inner = Inner([RemoteError("unexpected EOF")])
    assert Retrying(inner, wait_s=0).publish("s", TARGET) is DONE
    assert inner.calls == 2


def test_does_not_retry_a_refusal() -> None:
    inner = Inner([RemoteError("refused the password")])
    with pytest.raises(RemoteError):
        Retrying(inner, wait_s=0).publish("s", TARGET)
    assert inner.calls == 1


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("answered 503 for", True),
        ("https://150412345678.dkr/geofence: no", False),
        ("Read timed out.", True),
        ("error parsing HTTP 429 response body", True),
    ],
)
def test_only_whole_words_count_as_transient(text: str, again: bool) -> None:
    assert is_transient(RemoteError(text)) is again


def test_waits_for_a_lagging_catalogue_and_counts_bytes() -> None:
    done = verified(World("sha256:1", [None, "sha256:0", "sha256:1"])).publish("s", TARGET)
    assert (done.size_bytes, done.new_layer_bytes) == (125, 20)


def test_another_digest_in_the_registry_raises() -> None:
    with pytest.raises(RemoteError, match="sha256:other"):
        verified(World("sha256:other", ["sha256:1"])).publish("s", TARGET)


def test_a_catalogue_that_never_learns_raises() -> None:
    with pytest.raises(RemoteError, match="after 0 s"):
        verified(World("sha256:1", [None]), 0.2).publish("s", TARGET)


class Refusing:
    """An engine whose push the registry refuses."""

    def __init__(self, said: str) -> None:
        self.said = said

    def push(self, source: str, target: str, credentials: Any) -> Any:
        raise RemoteError(self.said)


@pytest.mark.parametrize(
    ("said", "explained"),
    [
        ("tag invalid: The image tag '1' already exists in the 'repo' repository and cannot be overwritten because the repository is immutable.", True),
        ("ImageTagAlreadyExistsException", True),
        ("denied: you may not", False),
        ("layer already exists", False),
    ],
)  # fmt: skip
def test_a_refusal_for_an_immutable_tag_is_explained(said: str, explained: bool) -> None:
    with pytest.raises(RemoteError) as caught:
        PushPublisher(Refusing(said), None).publish("s", TARGET)  # type: ignore[arg-type]
    assert ("--tag NEW" in caught.value.message) is explained


@pytest.mark.parametrize(("held", "sent"), [(None, 1), ("sha256:1", 0)])
def test_to_an_immutable_tag_only_what_lies_there_counts_as_pushed(held: str | None, sent: int) -> None:
    world: Any = World(held, ["sha256:1"])
    world.find = lambda reference: LocalImage(reference, "id", 1, (), ("sha256:1",))
    inner = Inner([])
    assert Settled(inner, world, world).publish("s", TARGET).digest == "sha256:1"
    assert inner.calls == sent


def test_another_image_under_an_immutable_tag_sends_nothing() -> None:
    world: Any = World("sha256:2", ["sha256:2"])
    inner = Inner([])
    with pytest.raises(RemoteError, match="another image was pushed as 'h/repo:1'"):
        Settled(inner, world, world).publish("s", TARGET)
    assert inner.calls == 0
