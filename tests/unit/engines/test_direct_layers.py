"""Layers: the same entries give the same bytes; names that reach out are refused."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from shardyard.engines.direct import layers
from shardyard.engines.direct.layer_tar import Entry, from_folder, from_tar, write
from shardyard.engines.direct.settled import settled
from shardyard.engines.direct.store import Store
from shardyard.errors import ProjectError
from shardyard.image import code_tar
from shardyard.image.tarball import header
from shardyard.project.load import load
from shardyard.registry.oci.manifests import digest_of

NAME = st.text("abcxyz01.-_äß ", min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh.")
)
TREE = st.dictionaries(st.tuples(NAME, NAME, NAME), st.binary(max_size=600), max_size=8)


def archive(tree: dict[tuple[str, ...], bytes], order: list[int], time: int, owner: int) -> io.BytesIO:
    out = io.BytesIO()
    names = sorted(tree)
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        for at in order:
            parts = names[at % len(names)] if names else None
            if parts is None or "/".join(parts) in made.getnames():
                continue
            info = tarfile.TarInfo("/".join(parts))
            info.size, info.mtime, info.uid, info.gid, info.uname = (
                len(tree[parts]),
                time,
                owner,
                owner,
                f"u{owner}",
            )
            made.addfile(info, io.BytesIO(tree[parts]))
    out.seek(0)
    return out


def written(stream: io.BytesIO) -> bytes:
    out = io.BytesIO()
    write(from_tar(stream), out)
    return out.getvalue()


@settings(deadline=None)
@given(TREE, st.randoms(), st.integers(0, 2**31), st.integers(0, 2**16))
def test_bytes_depend_on_contents_alone(tree: dict, random, time: int, owner: int) -> None:  # type: ignore[no-untyped-def, type-arg]
    order = list(range(len(tree)))
    first = written(archive(tree, order, 0, 0))
    random.shuffle(order)
    assert written(archive(tree, order, time, owner)) == first
    assert written(io.BytesIO(first)) == first


@settings(deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "", "a", "\0", ".wh.x"]), min_size=1, max_size=4))
def test_unsafe_names_are_refused(parts: list[str]) -> None:
    assume(set(parts) != {"a"})
    with pytest.raises(ProjectError, match="the layer cannot be made"):
        write([Entry("/".join(parts), "directory")], io.BytesIO())


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.LNKTYPE])
def test_devices_pipes_and_hard_links_are_refused(kind: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        info = tarfile.TarInfo("x")
        info.type, info.linkname = kind, "y"
        made.addfile(info)
    out.seek(0)
    with pytest.raises(ProjectError, match="neither a file"):
        list(from_tar(out))


def test_nothing_is_written_through_a_link() -> None:
    entries = [Entry("a", "link", target="/etc"), Entry("a/passwd", "file", open=lambda: io.BytesIO(b""))]
    with pytest.raises(ProjectError, match="which is no folder"):
        write(entries, io.BytesIO())


def test_a_removed_path_is_a_whiteout() -> None:
    out = io.BytesIO()
    write([Entry("usr/lib/old", "removed"), Entry("top", "removed")], out)
    out.seek(0)
    with tarfile.open(fileobj=out) as made:
        assert [one for one in made.getnames() if ".wh." in one] == [".wh.top", "usr/lib/.wh.old"]


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(NAME, st.binary(max_size=3000), min_size=1, max_size=5))
def test_the_code_archive_passes_through_unchanged(files: dict[str, bytes]) -> None:
    """The code layer is the docker engine's: ADD code.tar gives the archive's own diff_id."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "shardyard.toml").write_text('[image]\nname = "x"\nbase = "b"\nsource_dir = "src"\n')
        for name, content in files.items():
            path = root / "src" / "sub" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        out = io.BytesIO()
        code_tar.write(load(root), out)
        store = Store(root / "store")
        layer = layers.make(from_tar(io.BytesIO(out.getvalue())), store)
        assert layer.diff_id == code_tar.diff_id(load(root)) == digest_of(out.getvalue())
        blob = store.get(layer.digest)
        assert (digest_of(blob), len(blob)) == (layer.digest, layer.size)
        assert gzip.decompress(blob) == out.getvalue()
        assert settled(io.BytesIO(out.getvalue())) == all(name.isascii() for name in files)
        assert layers.unpacked(out, store) == layer
        assert layers.unpacked(out, Store(root / "other")) == layer


PIECES = st.sampled_from(["a", "b", "a.b", ".wh.a", "..", "ä"])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.lists(PIECES, min_size=1, max_size=3), st.sampled_from("05")), max_size=6),
    st.integers(0, 6000),
    st.binary(min_size=1, max_size=2),
)
@example([(["a"], "0")], 515, b"\x01")  # behind the content, in its last block
def test_what_passes_as_settled_is_what_would_be_written(
    listed: list[tuple[list[str], str]], place: int, dirt: bytes
) -> None:
    """Whatever the order, parents left out, unsafe names, damaged bytes."""
    out = io.BytesIO()
    for parts, kind in listed:
        name = "/".join(parts) + ("/" if kind == "5" else "")
        out.write(header(name, 0o755, kind.encode(), 3 if kind == "0" else 0))
        out.write(b"abc".ljust(512, b"\0") if kind == "0" else b"")
    out.write(bytes(1024))
    clean = out.getvalue()
    for data in (clean, clean[:place] + dirt + clean[place + len(dirt) :]):
        if settled(io.BytesIO(data)):
            again = io.BytesIO()
            write(from_tar(io.BytesIO(data)), again)
            assert again.getvalue() == data


def test_a_folder_gives_the_same_layer_whatever_its_times(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/run").write_text("x")
    (tmp_path / "a/b/run").chmod(0o755)
    (tmp_path / "a/link").symlink_to("b/run")

    def made() -> bytes:
        out = io.BytesIO()
        write(from_folder(tmp_path), out)
        return out.getvalue()

    before = made()
    os.utime(tmp_path / "a/b/run", (5, 5))
    assert made() == before
