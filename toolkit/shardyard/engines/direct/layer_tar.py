"""Layers as archives with settled bytes: the same entries give the same digest, whatever their order, times
and owners were; a name that reaches out of the layer is refused."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from shardyard.errors import ProjectError
from shardyard.image.tarball import Sink, Writer

WHITEOUT = ".wh."
Kind = Literal["directory", "file", "link", "removed"]


@dataclass(frozen=True)
class Entry:
    """One path of a layer. `removed` hides that path of the layers below."""

    name: str
    kind: Kind
    size: int = 0
    executable: bool = False
    target: str = ""
    open: Callable[[], BinaryIO] | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.name.split("/"))


def write(entries: Iterable[Entry], out: Sink) -> None:
    """Writes the layer; a folder before what it holds, siblings in the order of their bytes."""
    chosen: dict[tuple[str, ...], Entry] = {}
    for entry in entries:
        _check(entry)
        before = chosen.get(entry.parts)
        if before is not None and before.kind != entry.kind:
            raise refused(entry.name, f"is there twice, as {before.kind} and as {entry.kind}")
        chosen[entry.parts] = entry
    writer = Writer(out)
    for parts in sorted(
        chosen, key=lambda names: [name.encode("utf-8", "surrogateescape") for name in names]
    ):
        for length in range(1, len(parts)):
            above = chosen.get(parts[:length])
            if above is not None and above.kind != "directory":
                raise refused("/".join(parts), f"lies under {above.name!r}, which is no folder")
        _write(writer, chosen[parts])
    writer.end()


def _write(writer: Writer, entry: Entry) -> None:
    if entry.kind == "directory":
        writer.directory(entry.name)
    elif entry.kind == "link":
        writer.link(entry.name, entry.target)
    elif entry.kind == "removed":
        above, _, last = entry.name.rpartition("/")
        writer.data(f"{above}/{WHITEOUT}{last}".lstrip("/"), b"")
    elif entry.open is not None:
        with entry.open() as stream:
            writer.stream(entry.name, stream, entry.size, executable=entry.executable)


def _check(entry: Entry) -> None:
    for part in entry.parts:
        if part in ("", ".", "..") or "\0" in part:
            raise refused(entry.name, "is no plain path below the root")
        if part.startswith(WHITEOUT):
            raise refused(entry.name, f"begins with {WHITEOUT!r}, which removes files in a layer. Rename it")


def refused(name: str, why: str) -> ProjectError:
    return ProjectError(f"the layer cannot be made: {name!r} {why}")


def from_tar(stream: BinaryIO) -> Iterable[Entry]:
    """The entries of an archive as Entry; devices, pipes and hard links have no place in a layer of ours."""
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for one in archive:
            name = one.name.removeprefix("./").rstrip("/")
            if name in ("", "."):
                continue
            if one.isdir():
                yield Entry(name, "directory")
            elif one.issym():
                yield Entry(name, "link", target=one.linkname)
            elif one.isreg():
                yield Entry(
                    name,
                    "file",
                    one.size,
                    bool(one.mode & 0o100),
                    open=_Part(stream, one.offset_data, one.size),
                )
            else:
                raise refused(name, "is neither a file, a folder nor a symbolic link")


def from_folder(root: Path) -> Iterable[Entry]:
    """The files below a folder of this machine."""
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            yield Entry(name, "link", target=str(path.readlink()))
        elif path.is_dir():
            yield Entry(name, "directory")
        else:
            facts = path.stat()
            yield Entry(name, "file", facts.st_size, bool(facts.st_mode & 0o100), open=_Opener(path))


@dataclass(frozen=True)
class _Opener:
    path: Path

    def __call__(self) -> BinaryIO:
        return self.path.open("rb")


@dataclass(frozen=True)
class _Part:
    """Opens a stretch of a seekable stream."""

    stream: BinaryIO
    start: int
    size: int

    def __call__(self) -> BinaryIO:
        return Window(self.stream, self.start, self.size)  # type: ignore[return-value]


class Window:
    """A stretch of a seekable stream as a file of its own. Several of them may take turns."""

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self._stream, self._start, self._size, self._at = stream, start, size, 0

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._at, 0)
        self._stream.seek(self._start + self._at)
        data = self._stream.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def seek(self, place: int, whence: int = 0) -> int:
        self._at = place + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        """The stream below stays open."""
