"""A look into layers: one pass forward, whatever the archive's kind and the chunks' size."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard.engines.direct.file_tree import merged, resolve
from shardyard.engines.direct.layer_index import LayerIndex, scan
from shardyard.errors import ProjectError
from shardyard.registry.oci.errors import RegistryError

FILES = {
    "usr/lib/python3.11/site-packages/a-1.dist-info/METADATA": b"Name: a\nVersion: 1\n\nlong",
    "usr/lib/x86_64-linux-gnu/libc.so.6": b"\0" * 5000
    + b"GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n",
    "opt/" + "long/" * 40 + "ä": b"x" * 100_000,
    "last": b"1",
}


def layer(kind: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("usr/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, "python3.11"
        archive.addfile(link)
    return out.getvalue()


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 40_000), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]), st.sampled_from("pgm")
)
def test_one_pass_finds_all(size: int, kind: int, packing: str) -> None:
    data = layer(kind)
    if packing == "g":
        data = gzip.compress(data, 1)
    if packing == "m":  # a file of several members
        data = gzip.compress(data[:700], 1) + gzip.compress(data[700:], 1)
    found = scan(data[at : at + size] for at in range(0, len(data), size))
    assert {name for name, one in found.paths.items() if one == "f"} == set(FILES)
    assert found.paths["usr/bin/python3"] == "lpython3.11"
    assert found.paths["usr/lib"] == "d"
    assert found.glibc == "2.36"
    assert list(found.kept.values()) == ["Name: a\nVersion: 1\n\nlong"]


def test_a_layer_that_is_cut_short_is_no_layer() -> None:
    with pytest.raises(RegistryError, match="cannot be read"):
        scan([layer(tarfile.PAX_FORMAT)[:3000]])


def test_a_layer_that_is_damaged_is_no_layer() -> None:
    with pytest.raises(RegistryError, match="cannot be read"):
        scan([gzip.compress(layer(tarfile.PAX_FORMAT))[:20] + b"damaged" * 100])


def test_zstd_names_the_way_out() -> None:
    with pytest.raises(ProjectError, match="--engine docker"):
        scan([b"\x28\xb5\x2f\xfd1234"])


def test_whiteouts_take_away_what_lies_below() -> None:
    below = LayerIndex({"a": "d", "a/x": "f", "a/y/z": "f", "b": "d", "b/c": "f"}, {"b/c": "kept"}, "2.31")
    above = LayerIndex({"a/.wh.x": "f", "b/.wh..wh..opq": "f", "b/new": "f"}, {}, None)
    whole = merged([below, above])
    assert set(whole.paths) == {"a", "a/y/z", "b", "b/new"}
    assert (whole.kept, whole.glibc) == ({}, "2.31")


@pytest.mark.parametrize(
    ("name", "found"),
    [("bin/p", "usr/bin/p3"), ("usr/bin/p3", "usr/bin/p3"), ("loop", None), ("gone", None), ("up/bin/p3", "usr/bin/p3")],
)  # fmt: skip
def test_links_are_followed(name: str, found: str | None) -> None:
    paths = {"bin": "lusr/bin", "usr/bin/p": "lp3", "usr/bin/p3": "f", "loop": "lloop", "up": "l/usr/../usr"}
    assert resolve(paths, name) == found
