"""The build context: an archive whose files are read where they lie."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from shardyard.engines.direct.layer_tar import Entry, from_tar, refused
from shardyard.errors import ProjectError


class Context:
    """Files by name. Their contents stay in the archive."""

    def __init__(self, archive: BinaryIO) -> None:
        try:
            self._entries = {one.name: one for one in from_tar(archive)}
        except tarfile.TarError as error:
            raise ProjectError(f"the build context cannot be read: {error}") from error

    @property
    def dockerfile(self) -> str:
        return self.read("Dockerfile").decode()

    def read(self, name: str) -> bytes:
        with self._file(name) as stream:
            return stream.read()

    def archive(self, name: str) -> BinaryIO:
        """What `ADD name /` unpacks."""
        return self._file(name)

    def copied(self, source: str, target: str) -> Iterable[Entry]:
        """What `COPY source target` puts into the image; a folder's contents go into the target."""
        source, place = source.strip("/"), target.strip("/")
        found = self._entries.get(source)
        if found is None:
            raise ProjectError(f"the Dockerfile copies {source!r}, which is not in the build context")
        if found.kind != "directory":
            last = source.rpartition("/")[2]
            yield replace(found, name=f"{place}/{last}".strip("/") if target.endswith("/") else place)
            return
        if place:
            yield Entry(place, "directory")
        for name, entry in self._entries.items():
            if name.startswith(source + "/"):
                yield replace(entry, name=f"{place}/{name[len(source) + 1 :]}".strip("/"))

    def export(self, source: str, folder: Path) -> None:
        """Writes a file, or the files of a folder, into a folder of this machine."""
        for entry in self.copied(source, "x/"):
            if entry.open is not None:
                if ".." in entry.parts:
                    raise refused(entry.name, "is no plain path below the root")
                place = folder / Path(*entry.parts[1:])
                place.parent.mkdir(parents=True, exist_ok=True)
                with entry.open() as stream:
                    place.write_bytes(stream.read())

    def _file(self, name: str) -> BinaryIO:
        found = self._entries.get(name)
        if found is None or found.open is None:
            raise ProjectError(f"the Dockerfile names {name!r}, which is no file of the build context")
        return found.open()
