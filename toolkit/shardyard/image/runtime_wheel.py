"""The runtime that goes into the image: its wheel's packages and licence, laid out under /opt/shardyard.

The rest of the wheel's metadata stays out: pip rewrites it, and it names the tool that built the wheel. So a
checkout, a wheel and an installed runtime give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

from shardyard.errors import MissingError
from shardyard.image.tarball import Writer
from shardyard.paths import cache_dir, packaged_wheels, runtime_source
from shardyard.project.model import Project

HOME = "opt/shardyard"
_TRAIN = b"""#!/usr/bin/env python3
import sys

sys.path.insert(0, "/opt/shardyard/lib")
from shardyard_runtime.launch.main import main

sys.exit(main())
"""


@cache
def files() -> dict[str, bytes]:
    """Path in the wheel to content: built from a checkout, from package data, or as it was installed."""
    source = runtime_source()
    wheels = packaged_wheels()
    if source is not None:
        found = _unzipped(_kept(source))
    elif wheels:
        found = _unzipped(wheels[-1].read_bytes())
    else:
        found = _installed()
    return {name: content for name, content in found.items() if _belongs(name)}


def _belongs(name: str) -> bool:
    top, _, rest = name.partition("/")
    if top.endswith(".dist-info"):
        return rest.startswith("licenses/")
    return top in ("shardyard_runtime", "smdistributed") and not name.endswith(".pyc")


def _kept(source: Path) -> bytes:
    """The wheel of this very source tree: building it takes a fifth of a second, which every edit of a
    script would wait for. A cache that cannot be written to is none."""
    files = sorted(path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc")
    facts = [f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in files]
    key = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]
    file = cache_dir() / "runtime" / f"{key}.whl"
    with suppress(OSError):
        return file.read_bytes()
    wheel = build(source)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        for old in file.parent.glob("*.whl"):
            old.unlink()
        half = file.with_suffix(f".{os.getpid()}")
        half.write_bytes(wheel)
        half.replace(file)
    return wheel


def build(source: Path) -> bytes:
    """The wheel of a source tree, the same bytes each time."""
    from hatchling.builders.wheel import WheelBuilder

    with tempfile.TemporaryDirectory() as folder:
        made = list(WheelBuilder(str(source)).build(directory=folder, versions=["standard"]))
        return Path(made[0]).read_bytes()


def write(project: Project, out: BinaryIO) -> None:
    """An archive of the runtime; ``smdistributed`` is left out where the image's own is to be used."""
    writer = Writer(out)
    writer.data(f"{HOME}/bin/train", _TRAIN, executable=True)
    for name, content in sorted(files().items()):
        if project.image.runtime == "bundled" or not name.startswith("smdistributed/"):
            writer.data(f"{HOME}/lib/{name}", content)
    writer.end()


def _unzipped(wheel: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def _installed() -> dict[str, bytes]:
    try:
        listed = metadata.files("shardyard-runtime") or []
    except metadata.PackageNotFoundError:
        listed = []
    if not any(one.parts[0] == "shardyard_runtime" for one in listed):
        raise MissingError(
            "the runtime is not installed here. Type: pip install --force-reinstall shardyard-runtime"
        )
    return {
        one.as_posix(): Path(str(one.locate())).read_bytes() for one in listed if _belongs(one.as_posix())
    }
