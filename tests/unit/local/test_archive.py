from __future__ import annotations

import io
import tarfile
from pathlib import Path

from shardyard.local import archive


def stream(members: list[tuple[str, bytes | str]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_what_went_in_comes_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "data").mkdir(parents=True)
    (source / "data/x.bin").write_bytes(b"x" * 1000)
    archive.unpack([archive.pack(source, "output")], tmp_path / "target")
    assert (tmp_path / "target/data/x.bin").read_bytes() == b"x" * 1000


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    data = stream(
        [
            ("model/../../evil", b"1"),
            ("model/out", "../.."),
            ("model/out/evil", b"2"),
            ("model/good", b"3"),
            ("model/latest", "good"),
        ]
    )
    archive.unpack([data], tmp_path / "a/b")
    assert not list(tmp_path.glob("evil")) + list((tmp_path / "a").glob("evil"))
    assert (tmp_path / "a/b/latest").read_bytes() == b"3"
