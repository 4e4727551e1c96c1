"""What a registry can do wrong: each fault is planted in the proxy before it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Protocol

from tests.integration.direct.faulty import Exchange, Faulty
from tests.integration.direct.registries import push_base, repository

LARGE = 3 << 20  # of a layer: several chunks, so that it can be cut in the middle


class World(Protocol):
    """A registry, its proxy, and the project that is pushed to it."""

    name: str
    host: str
    proxy: Faulty

    def stand_on(self, base: str) -> None: ...


Plant = Callable[[World], None]


def upload_answered(status: int) -> Plant:
    """One upload is answered with this status in the registry's place."""

    def plant(world: World) -> None:
        left = [None]

        def before(exchange: Exchange) -> bool:
            if not exchange.is_upload() or not left:
                return False
            left.pop()
            return world.proxy.answer(exchange, status, {}, b"not now")

        world.proxy.before = before

    return plant


def created_on_patch(world: World) -> None:
    def after(exchange: Exchange) -> bool:
        if exchange.method == "PATCH":
            exchange.status = 201
        return False

    world.proxy.after = after


def expired(world: World) -> None:
    """From the first bytes of a layer on, the password is no longer good."""

    def before(exchange: Exchange) -> bool:
        if exchange.method == "PATCH":
            world.proxy.password = "another"
            return world.proxy.answer(exchange, 401, {"Www-Authenticate": 'Basic realm="x"'}, b"expired")
        return False

    world.proxy.before = before


def cut(world: World) -> None:
    world.proxy.cuts = [("up", LARGE // 2)]


def slow(world: World) -> None:
    world.proxy.pace = lambda size: time.sleep(size / (2 << 20))


def other_digest(world: World) -> None:
    """The registry names another digest for what lies under the tag."""

    def after(exchange: Exchange) -> bool:
        if exchange.method == "HEAD" and "/manifests/" in exchange.path:
            exchange.headers["Docker-Content-Digest"] = "sha256:" + "0" * 64
        return False

    world.proxy.after = after


def no_mount(world: World) -> None:
    """The engine asks to mount layers that it has pushed elsewhere."""

    def before(exchange: Exchange) -> bool:
        return "mount=" in exchange.path and world.proxy.answer(exchange, 405, {}, b"no")

    world.proxy.before = before


def immutable(world: World) -> None:
    """What ECR's registry says to a tag that exists, and may not move."""
    said = {"code": "TAG_INVALID", "message": "The image tag 'latest' already exists in the 'x' repository and "
            "cannot be overwritten because the repository is immutable."}  # fmt: skip

    def before(exchange: Exchange) -> bool:
        if exchange.method == "PUT" and "/manifests/" in exchange.path:
            kind = {"Content-Type": "application/json"}
            return world.proxy.answer(exchange, 400, kind, json.dumps({"errors": [said]}).encode())
        return False

    world.proxy.before = before


def damaged(world: World) -> None:
    """The base's layers come with wrong bytes."""
    push_base(world.proxy.upstream, f"{world.name}-base")
    world.stand_on(f"{world.host}/{world.name}-base:1")

    def before(exchange: Exchange) -> bool:
        if exchange.is_blob():
            size = len(repository(world.proxy.upstream, f"{world.name}-base").manifest("1").raw)  # type: ignore[union-attr]
            return world.proxy.answer(exchange, 200, {}, bytes(size))
        return False

    world.proxy.before = before


FAULTS: dict[str, Plant] = {
    "201-on-patch": created_on_patch,
    "no-mount": no_mount,
    "expired": expired,
    "429": upload_answered(429),
    "500": upload_answered(500),
    "cut": cut,
    "digest": other_digest,
    "slow": slow,
    "immutable": immutable,
    "damaged": damaged,
}
