"""Wheels into a layer: fetched, checked, laid out as the image's own pip would."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from shardyard.engines.direct.index import authorization, for_uv
from shardyard.engines.direct.layer_tar import Entry, from_folder
from shardyard.engines.direct.resolve import Changes, Wheel
from shardyard.engines.direct.store import Store
from shardyard.engines.direct.target_python import TargetPython
from shardyard.errors import JobError, MissingError
from shardyard.registry.oci.errors import TRANSIENT_STATUS, RegistryError, Transient
from shardyard.registry.oci.headers import retry_after
from shardyard.registry.oci.retry import Patience
from shardyard.registry.oci.transport import Http, Transport, body_of


def installed(changes: Changes, target: TargetPython, store: Store, root: Path) -> Iterator[Entry]:
    """The layer's entries; `root` is an empty folder for the files."""
    try:
        from installer import install
        from installer.destinations import SchemeDictionaryDestination
        from installer.sources import WheelFile
    except ImportError as error:
        raise MissingError("installer is not installed. Type: pip install installer") from error
    scheme = {
        "purelib": target.site,
        "platlib": target.site,
        "scripts": join(target.prefix, "bin"),
        "headers": join(target.prefix, "include"),
        "data": target.prefix,
    }
    for wheel in changes.wheels:
        destination = SchemeDictionaryDestination(
            scheme, interpreter=target.executable, script_kind="posix", destdir=str(root)
        )
        with WheelFile.open(fetched(wheel, store)) as source:
            install(source, destination, additional_metadata={"INSTALLER": b"shardyard\n"})
    new = list(from_folder(root))
    yield from new
    yield from _removed(changes.removed, target, {one.name for one in new})


def _removed(folders: Iterable[str], target: TargetPython, kept: set[str]) -> Iterator[Entry]:
    """Takes the files of replaced packages away, so that no mixture of two versions stays behind."""
    for folder in folders:
        yield Entry(folder.strip("/"), "removed")
        for row in csv.reader(target.records[folder].splitlines()):
            path = normpath(join(dirname(folder), row[0])) if row else ""
            name = path.strip("/")
            inside = path.startswith((target.site + "/", join(target.prefix, "bin") + "/"))
            if inside and name not in kept and not path.startswith(folder + "/"):
                yield Entry(name, "removed")


def fetched(wheel: Wheel, store: Store, transport: Transport | None = None) -> Path:
    """The wheel's file, whose sha256 is what the lock says."""
    place = store.folder / "wheels" / wheel.sha256 / unquote(wheel.file_name)
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
        half = Path(file.name)
    try:
        if urlsplit(wheel.url).scheme in ("file", ""):
            shutil.copyfile(url2pathname(urlsplit(wheel.url).path), half)
        else:
            Patience().run(lambda: _download(wheel.url, half, transport or Http()))
        found = hashlib.sha256(half.read_bytes()).hexdigest()
        if found != wheel.sha256:
            raise JobError(f"{wheel.file_name} has sha256 {found}, not {wheel.sha256} as its index says")
        os.replace(half, place)
    finally:
        half.unlink(missing_ok=True)
    return place


def _download(url: str, file: Path, transport: Transport) -> None:
    answer = transport.send("GET", url, authorization(url, for_uv(os.environ)))
    if answer.status in TRANSIENT_STATUS:
        raise Transient(
            f"{url} answered {answer.status}", wait_s=retry_after(answer.headers.get("Retry-After"))
        )
    if answer.status != 200:
        raise RegistryError(f"{url} answered {answer.status}")
    with file.open("wb") as out:
        for chunk in body_of(answer):
            out.write(chunk)
