"""The interface of an engine and the data it exchanges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

Event = dict[str, object]
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Credentials:
    """A user and password of one registry. The password never shows in a repr."""

    host: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(host={self.host!r}, username={self.username!r}, password='***')"

    def auth_config(self) -> dict[str, str]:
        return {"username": self.username, "password": self.password, "serveraddress": self.host}


def wrong_password(host: str, said: str) -> str:
    """What a registry's "unauthorized" means, and what to do."""
    return (
        f"the registry {host!r} refused the password ({said}). The sign-in token is wrong, expired, or of "
        "another account. Type: aws sts get-caller-identity, and compare its account with [registry] account "
        "in shardyard.toml"
    )


@dataclass(frozen=True)
class LocalImage:
    """An image that the engine holds: its layers are diff ids, base first; `digests` are those of its manifests, as
    far as the engine knows any."""

    reference: str
    image_id: str
    size_bytes: int
    layers: tuple[str, ...]
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class PushedImage:
    """What the registry acknowledged; `uploaded` are the diff ids that it did not have before."""

    digest: str
    uploaded: tuple[str, ...]


class Engine(Protocol):
    """Builds from a context, finds, pulls and pushes images."""

    def build(self, context: BinaryIO, tag: str, platform: str, no_cache: bool = False) -> LocalImage: ...

    def find(self, reference: str) -> LocalImage | None: ...

    def pull(self, reference: str, platform: str, credentials: Credentials | None) -> LocalImage: ...

    def push(self, source: str, target: str, credentials: Credentials) -> PushedImage: ...
