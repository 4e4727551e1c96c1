"""A registry that misbehaves: each fault ends in a correct image, or in a reason and no URI."""

from __future__ import annotations

import json

import pytest

from shardyard.registry.oci.blobs import Blobs
from tests.integration.direct.conftest import World
from tests.integration.direct.faulty import Exchange
from tests.integration.direct.registries import push_base, repository


def assert_correct(world: World, outcome: tuple[int, str, str]) -> None:
    """The URI alone, and in the registry an image whose every blob is what its manifest says."""
    code, out, err = outcome
    assert (code, out) == (0, world.uri + "\n"), err
    at = repository(world.registry.host, "demo")
    manifest = at.manifest("latest")
    assert manifest is not None
    for blob in (manifest.config, *manifest.layers):
        for _ in Blobs(at).read(blob):  # raises where a byte is wrong
            pass


def assert_refused(world: World, outcome: tuple[int, str, str], reason: str) -> None:
    code, out, err = outcome
    assert (code, out) == (4, ""), err
    assert reason in err
    assert "Traceback" not in err
    assert world.pushed() is None


def times(world: World, number: int, status: int, headers: dict[str, str] | None = None) -> None:
    """So many uploads are answered with this status in the registry's place."""
    left = [None] * number

    def before(exchange: Exchange) -> bool:
        if not exchange.is_upload() or not left:
            return False
        left.pop()
        return world.proxy.answer(exchange, status, headers or {}, b"not now")

    world.proxy.before = before


def test_201_on_patch(world: World) -> None:
    def after(exchange: Exchange) -> bool:
        if exchange.method == "PATCH":
            exchange.status = 201
        return False

    world.proxy.after = after
    assert_correct(world, world.ship())
    assert any(one.method == "PATCH" and one.status == 201 for one in world.proxy.log)


def test_a_mount_is_used(world: World) -> None:
    push_base(world.registry.host)
    world.base_at(world.proxy.host)
    assert_correct(world, world.ship())
    assert [one.status for one in world.proxy.log if "mount=" in one.path] == [201, 201]
    assert max(one.sent for one in world.proxy.uploads()) < 1 << 20  # the base did not come over the line


@pytest.mark.parametrize("status", [202, 403, 405])
def test_a_refused_mount_becomes_an_upload(world: World, status: int) -> None:
    push_base(world.registry.host)
    world.base_at(world.proxy.host)

    def before(exchange: Exchange) -> bool:
        if "mount=" not in exchange.path:
            return False
        if status != 202:
            return world.proxy.answer(exchange, status, {}, b"no")
        exchange.path = exchange.path.partition("?")[0]  # the registry then begins an upload, with 202
        return False

    world.proxy.before = before
    assert_correct(world, world.ship())
    assert max(one.sent for one in world.proxy.uploads()) > 1 << 20


def test_a_token_that_expires_in_the_middle_of_a_push_is_renewed(world: World) -> None:
    world.proxy.password = "first"
    world.ecr.passwords = ["first", "second"]

    def before(exchange: Exchange) -> bool:
        if exchange.method == "PATCH" and world.proxy.password == "first":
            world.proxy.password = "second"
            return world.proxy.answer(exchange, 401, {"Www-Authenticate": 'Basic realm="x"'}, b"expired")
        return False

    world.proxy.before = before
    assert_correct(world, world.ship())
    assert world.ecr.sign_ins >= 2


def test_a_password_that_stays_wrong_is_named(world: World) -> None:
    world.proxy.password = "another"
    assert_refused(world, world.ship(), "refused the password")
    assert "first" not in world.ship()[2]  # nor is it shown


def test_429_waits_as_long_as_it_says(world: World) -> None:
    times(world, 2, 429, {"Retry-After": "17"})
    assert_correct(world, world.ship())
    assert world.waits.count(17.0) == 2


def test_500_twice_is_tried_again(world: World) -> None:
    times(world, 2, 500)
    assert_correct(world, world.ship())
    assert len(world.waits) == 2


@pytest.mark.parametrize("status", [429, 500])
def test_what_never_ends_is_given_up(world: World, status: int) -> None:
    times(world, 1000, status)
    assert_refused(world, world.ship(), f"answered {status}")


@pytest.mark.parametrize("at", [1 << 17, 3 << 20])
def test_an_upload_that_is_cut_is_sent_again_whole(world: World, at: int) -> None:
    world.proxy.cuts = [("up", at), ("up", at)]
    assert_correct(world, world.ship())
    assert world.proxy.cuts == []


def test_a_download_that_is_cut_goes_on_where_it_was(world: World) -> None:
    push_base(world.registry.host, "other")
    world.base_at(world.proxy.host)
    toml = world.folder / "shardyard.toml"
    toml.write_text(toml.read_text().replace("/base:1", "/other:1"))

    def before(exchange: Exchange) -> bool:
        return "mount=" in exchange.path and world.proxy.answer(exchange, 405, {}, b"no")

    world.proxy.before = before
    world.proxy.cuts = [("down", 1 << 20), ("down", 1 << 20)]
    assert_correct(world, world.ship())
    ranges = [
        one.handler.headers.get("Range") for one in world.proxy.log if one.is_blob() and one.status == 206
    ]
    assert ranges


def test_another_digest_for_the_manifest_is_no_success(world: World) -> None:
    def after(exchange: Exchange) -> bool:
        if exchange.method == "PUT" and "/manifests/" in exchange.path:
            exchange.headers["Docker-Content-Digest"] = "sha256:" + "0" * 64
        return False

    world.proxy.after = after
    code, out, err = world.ship()
    assert (code, out) == (4, "")
    assert "took the manifest as 'sha256:000" in err


def test_a_blob_that_arrives_damaged_is_no_success(world: World) -> None:
    push_base(world.registry.host)
    world.base_at(world.proxy.host)

    def before(exchange: Exchange) -> bool:
        if "mount=" in exchange.path:
            return world.proxy.answer(exchange, 405, {}, b"no")
        if exchange.is_blob() and exchange.handler.headers.get("Accept") is None:
            size = repository(world.registry.host, "base").manifest("1").layers[1].size  # type: ignore[union-attr]
            return world.proxy.answer(exchange, 200, {}, bytes(size))
        return False

    world.proxy.before = before
    assert_refused(world, world.ship(), "damaged")


def test_a_slow_registry_is_waited_for(world: World) -> None:
    seen: list[int] = []
    world.proxy.pace = seen.append
    assert_correct(world, world.ship())
    assert sum(seen) > 6 << 20


def test_an_edit_sends_code_config_and_manifest_only(world: World) -> None:
    assert_correct(world, world.ship())
    world.edit("print(2)\n")
    world.proxy.log.clear()
    code, out, err = world.ship("--json")
    assert code == 0, err
    document = json.loads(out)
    manifest = repository(world.registry.host, "demo").manifest("latest")
    assert manifest is not None
    assert sorted(one.sent for one in world.proxy.uploads()) == sorted(
        [manifest.layers[-1].size, manifest.config.size]
    )
    assert document["new_layer_bytes"] == manifest.layers[-1].size
    assert [one.method for one in world.proxy.log if "/manifests/" in one.path].count("PUT") == 1


def test_nothing_changed_sends_nothing(world: World) -> None:
    assert_correct(world, world.ship())
    world.proxy.log.clear()
    assert_correct(world, world.ship())
    assert not [one for one in world.proxy.log if one.method == "PUT"]
