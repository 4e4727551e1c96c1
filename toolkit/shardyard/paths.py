"""Where the files that travel with the toolkit are, in an installed and in an editable environment alike."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def data_dir(name: str) -> Path:
    """A folder of data, ``templates``: package data, or the checkout's when editable."""
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _CHECKOUT / name


def cache_dir() -> Path:
    """What can be made again, and takes time to make."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "shardyard")
    return Path(os.environ.get("SHARDYARD_CACHE") or home).expanduser()


def runtime_source() -> Path | None:
    """The runtime's source tree in a checkout; None when it is installed as a package of its own."""
    source = _CHECKOUT / "runtime"
    return source if (source / "pyproject.toml").is_file() else None
