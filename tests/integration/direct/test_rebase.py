"""A patched base under a pushed image: equal to a build on it, and refused with every reason where it cannot stand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shardyard.cli.main import main
from shardyard.registry.oci import manifests
from shardyard.registry.oci.blobs import Blobs
from shardyard.registry.oci.manifests import ImageManifest
from tests.integration.direct.conftest import World
from tests.integration.direct.registries import FILES, push_base, repository
from tests.unit.engines.test_direct_requirements import wheel

SITE, LOCAL = "usr/lib/python3/dist-packages", "usr/local/lib/python3.11/dist-packages"
NEEDS_NEW_GLIBC = "\x7fELF binary that asks for GLIBC_2.17 and GLIBC_2.34"


def of_base(name: str, version: str, site: str = SITE) -> dict[str, bytes]:
    """The files of a Python package of the base."""
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return {f"{site}/{name}-{version}.dist-info/METADATA": text.encode()}


BASE = {**FILES, **of_base("beta", "2.0")}


@pytest.fixture
def shipped(world: World) -> World:
    """An image with a package of its own, which needs one of the base's."""
    push_base(world.registry.host, files=BASE)
    world.base_at(world.registry.host)
    toml = world.folder / "shardyard.toml"
    more = 'requirements = "requirements.txt"\nwheelhouse = "wheels"\nenv = { OWN = "$OLD" }\n'
    toml.write_text(toml.read_text().replace("[image]\n", f"[image]\n{more}"))
    (world.folder / "requirements.txt").write_text("alpha\n")
    wheel(world.folder / "wheels", "alpha", "1.5", needs="beta>=2", **{"alpha/_c.so": NEEDS_NEW_GLIBC})
    code, _, err = world.ship()
    assert code == 0, err
    return world


def rebase(world: World, *words: str) -> tuple[int, str, str]:
    world.capture.readouterr()
    code = main(["rebase", "-p", str(world.folder), *words])
    said = world.capture.readouterr()
    return code, said.out, said.err


def pushed(world: World, tag: str = "latest") -> tuple[ImageManifest, dict[str, Any]]:
    """The image in the registry, every blob of it read and checked."""
    at = repository(world.registry.host, "demo")
    manifest = at.manifest(tag)
    assert manifest is not None
    for blob in (manifest.config, *manifest.layers):
        for _ in Blobs(at).read(blob):
            pass
    return manifest, json.loads(at.small_blob(manifest.config.digest))


@pytest.mark.parametrize("kind", [manifests.DOCKER, manifests.OCI])
def test_equals_a_build_on_the_new_base(shipped: World, kind: str) -> None:
    before, _ = pushed(shipped)
    env = ("PATH=/opt/new/bin:/usr/bin", "OLD=2", "NEW=3", "PYTHONPATH=/opt/new")
    patched = push_base(
        shipped.registry.host,
        kind=kind,
        files={**FILES, "etc/patched": b"x", **of_base("beta", "2.1")},
        env=env,
    )
    shipped.proxy.log.clear()
    code, out, err = rebase(shipped, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (document["image_uri"], document["changed"]) == (shipped.uri, True)
    assert document["base_digest"] == patched.digest
    assert (
        sum(one.sent for one in shipped.proxy.uploads()) < 20_000
    )  # the config, and the base's changed layer

    manifest, config = pushed(shipped)
    assert manifest.digest == document["digest"]
    own = [one.digest for one in before.layers[2:]]
    assert [one.digest for one in manifest.layers] == [*(one.digest for one in patched.layers), *own]
    assert rebase(shipped)[:2] == (0, shipped.uri + "\n")  # and nothing to do is no failure
    assert json.loads(rebase(shipped, "--json")[1])["changed"] is False

    assert shipped.ship("--no-cache")[0] == 0
    built_manifest, built = pushed(shipped)
    assert [one.media_type for one in manifest.layers] == [one.media_type for one in built_manifest.layers]
    assert config["rootfs"] == built["rootfs"]
    assert config["config"] == built["config"]
    assert "OWN=$OLD" in built["config"]["Env"]
    assert "PATH=/opt/shardyard/bin:/opt/ml/code:/opt/new/bin:/usr/bin" in built["config"]["Env"]


def test_another_tag_and_another_base(shipped: World) -> None:
    before = shipped.pushed()
    patched = push_base(shipped.registry.host, "other", files={**BASE, "etc/patched": b"x"})
    code, out, err = rebase(shipped, "--base", f"{shipped.registry.host}/other:1", "--new-tag", "patched")
    assert (code, out) == (0, shipped.uri.replace(":latest", ":patched") + "\n"), err
    assert shipped.pushed() == before
    labels = pushed(shipped, "patched")[1]["config"]["Labels"]
    assert labels["org.opencontainers.image.base.name"] == f"{shipped.registry.host}/other:1"
    assert labels["org.opencontainers.image.base.digest"] == patched.digest
    assert f"FROM {shipped.registry.host}/other:1\n" in json.loads(labels["shardyard.dockerfile"])


PYTHON_312 = {name.replace("python3.11", "python3.12"): content for name, content in BASE.items()}
OLD_GLIBC = {**BASE, "lib/libc.so.6": b"GNU C Library (Debian GLIBC 2.31-1) stable release version 2.31.\n"}
NO_MPI = {name: content for name, content in BASE.items() if "mpi" not in name}


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"architecture": "arm64"}, ["'linux/arm64'"]),
    ({"files": PYTHON_312}, ["installed for Python 3.11, the new base has 3.12"]),
    ({"files": OLD_GLIBC}, ["need glibc 2.34, the new base has 2.31"]),
    ({"files": NO_MPI}, ["no MPI library"]),
    ({"files": {**FILES, **of_base("beta", "1.9")}}, ["alpha needs beta>=2, and there would be 1.9"]),
    (
        {"files": {**BASE, **of_base("alpha", "1.0", LOCAL)}},
        ["alpha would be there twice, as 1.0 and as 1.5"],
    ),
    ({"files": FILES}, ["alpha needs beta>=2, and there would be none"]),
    (
        {"files": {k: v for k, v in OLD_GLIBC.items() if "beta" not in k and "mpi" not in k}},
        ["glibc 2.34", "no MPI library", "alpha needs beta>=2"],
    ),
]


def test_what_cannot_stand_on_the_new_base_is_refused(shipped: World) -> None:
    before = shipped.pushed()
    for change, reasons in REFUSED:
        push_base(shipped.registry.host, **change)
        code, out, err = rebase(shipped)
        assert (code, out) == (2, ""), (change, err)
        for reason in reasons:
            assert reason in err
        assert "shardyard build-and-push" in err
        assert shipped.pushed() == before


def test_an_image_that_says_too_little_is_refused(shipped: World) -> None:
    at = repository(shipped.registry.host, "demo")
    base = repository(shipped.registry.host, "base").manifest("1")
    manifest, config = pushed(shipped)
    assert base is not None

    def put(change: dict[str, Any]) -> None:
        raw = json.dumps({**config, "config": {**config["config"], **change}}).encode()
        described = manifests.Descriptor(manifest.config.media_type, manifests.digest_of(raw), len(raw))
        Blobs(at).upload(described, lambda: iter([raw]))
        at.put_manifest("latest", ImageManifest.make(manifest.media_type, described, manifest.layers))

    push_base(shipped.registry.host, files={**BASE, "etc/patched": b"x"})
    put({"Labels": {}})
    assert "does not say which image" in rebase(shipped)[2]
    put({"User": "somebody"})
    assert "changed after its build" in rebase(shipped)[2]
    put(
        {
            "Labels": {
                **config["config"]["Labels"],
                "org.opencontainers.image.base.digest": "sha256:" + "0" * 64,
            }
        }
    )
    code, out, err = rebase(shipped)
    assert (code, out) == (4, "")
    assert "cannot be read" in err
    unknown = push_base(shipped.registry.host, "unknown", files={**BASE, "etc/another": b"x"})
    repository(shipped.registry.host, "base").put_manifest("2", base)  # stays readable
    labels = {
        **config["config"]["Labels"],
        "org.opencontainers.image.base.name": f"{shipped.registry.host}/unknown:1",
    }
    put({"Labels": {**labels, "org.opencontainers.image.base.digest": unknown.digest}})
    push_base(shipped.registry.host, "unknown", files=BASE)
    assert "lowest 2 layers are not those" in rebase(shipped)[2]
