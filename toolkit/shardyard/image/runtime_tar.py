"""The runtime that goes into the image: its packages and licence, laid out under /opt/shardyard.

Packages' metadata stays out: pip rewrites it, and it names the tool that built the wheel. So a checkout, a wheel and
an installed runtime give the same bytes.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from shardyard.errors import MissingError
from shardyard.image.kept import kept
from shardyard.image.tarball import Writer
from shardyard.paths import runtime_source
from shardyard.project.model import Project

HOME = "opt/shardyard"
_PACKAGES = ("shardyard_runtime", "smdistributed")
_TRAIN = b"""#!/usr/bin/env python3
import sys

sys.path.insert(0, "/opt/shardyard/lib")
from shardyard_runtime.launch.main import main

sys.exit(main())
"""


def write(project: Project, out: BinaryIO) -> None:
    """An archive of the runtime; ``smdistributed`` is left out where the image's own is to be used."""
    source = runtime_source()
    state = _recorded() if source is None else _seen(source)
    runtime = project.image.runtime
    known = json.dumps([_TRAIN.decode(), runtime, state]).encode()
    out.write(kept("runtimes", known, lambda: _packed(source, whole=runtime == "bundled")))


def _packed(source: Path | None, whole: bool) -> bytes:
    """Of a checkout's runtime, or of the one that is installed."""
    files = _installed() if source is None else _checked_out(source)
    out = io.BytesIO()
    writer = Writer(out)
    writer.data(f"{HOME}/bin/train", _TRAIN, executable=True)
    for name, content in sorted(files.items()):
        if whole or not name.startswith("lib/smdistributed/"):
            writer.data(f"{HOME}/{name}", content)
    writer.end()
    return out.getvalue()


def _seen(source: Path) -> list[tuple[str, int, int]]:
    """Which files there are in a checkout, how long, and when they were changed: other bytes, another list."""
    found = [(str(source / "LICENSE"), os.stat(source / "LICENSE"))]
    for package in _PACKAGES:
        for folder, _, names in os.walk(source / package):
            places = [f"{folder}/{name}" for name in names if not name.endswith(".pyc")]
            found += [(place, os.stat(place)) for place in places]
    return sorted((place, facts.st_size, facts.st_mtime_ns) for place, facts in found)


def _checked_out(source: Path) -> dict[str, bytes]:
    found = {"LICENSE": (source / "LICENSE").read_bytes()}
    for package in _PACKAGES:
        for path in (source / package).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                found[f"lib/{path.relative_to(source).as_posix()}"] = path.read_bytes()
    return found


def _recorded() -> str:
    """What the installer wrote down: the digest of every file."""
    from importlib import metadata

    try:
        return metadata.distribution("shardyard-runtime").read_text("RECORD") or ""
    except metadata.PackageNotFoundError:
        return ""


def _installed() -> dict[str, bytes]:
    from importlib import metadata  # late: a checkout does without

    try:
        listed = metadata.files("shardyard-runtime") or []
    except metadata.PackageNotFoundError:
        listed = []
    found = {}
    for one in listed:
        name = PurePosixPath(one.as_posix())
        if name.parts[0] in _PACKAGES and name.suffix != ".pyc":
            found[f"lib/{name}"] = one.read_binary()
        elif name.parts[-2:] == ("licenses", "LICENSE"):
            found["LICENSE"] = one.read_binary()
    if not any(name.startswith("lib/") for name in found):
        raise MissingError(
            "the runtime is not installed here. Type: pip install --force-reinstall shardyard-runtime"
        )
    return found
