"""The interface of an engine and the data it exchanges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol

from shardyard.errors import ProjectError

if TYPE_CHECKING:
    from shardyard.engines.direct.layer_index import LayerIndex
    from shardyard.image.secret_sources import SecretSource

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
    """An image that the engine knows: its layers are diff ids, base first; `digests` are those of its manifests, as
    far as the engine knows any, `digest` the one that the reference's own repository has it by; `platform` is
    os/architecture."""

    reference: str
    image_id: str
    size_bytes: int
    layers: tuple[str, ...]
    digests: tuple[str, ...] = ()
    digest: str | None = None
    platform: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)

    def as_dict(self) -> dict[str, object]:
        """Without the labels, one of which is a whole Dockerfile."""
        return {name: value for name, value in asdict(self).items() if name != "labels"}

    def is_for(self, platform: str) -> bool:
        """Whether it is of this platform; a variant (arm64/v8) is not compared."""
        return self.platform == "/".join(platform.split("/")[:2])

    def require(self, platform: str) -> None:
        """Raises ProjectError where the image, a base, is of another platform."""
        if not self.is_for(platform):
            raise ProjectError(
                f"the base {self.reference!r} is built for {self.platform!r}, not for {platform!r}. "
                f'Set [image] platform = "{self.platform}", or name another base'
            )


@dataclass(frozen=True)
class HistoryLine:
    """One instruction that an image was made by, and the size of the layer it made, 0 for none: unpacked in the
    Docker engine, compressed in the direct one."""

    created_by: str
    size_bytes: int


@dataclass(frozen=True)
class PushedImage:
    """What the registry acknowledged; `uploaded` are the diff ids that it did not have before."""

    digest: str
    uploaded: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """What an image is made from."""

    context: BinaryIO
    tag: str
    platform: str
    secrets: tuple[SecretSource, ...] = ()
    no_cache: bool = False


class Engine(Protocol):
    """Builds from a context, finds, pulls and pushes images. `history` and `contents`, the files of all layers one
    over the other, are of an image that it holds; JobError where it holds none."""

    def build(self, recipe: Recipe) -> LocalImage: ...

    def find(self, reference: str) -> LocalImage | None: ...

    def history(self, reference: str) -> tuple[HistoryLine, ...]: ...

    def contents(self, reference: str) -> LayerIndex: ...

    def pull(self, reference: str, platform: str, credentials: Credentials | None) -> LocalImage: ...

    def push(self, source: str, target: str, credentials: Credentials) -> PushedImage: ...
