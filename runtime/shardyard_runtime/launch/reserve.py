"""Room for the failure text on a disk that the user's program may fill."""

from __future__ import annotations

import contextlib
from pathlib import Path

NAME = ".shardyard-reserve"
BYTES = 1 << 13


def take(base: Path) -> None:
    with contextlib.suppress(OSError):
        (base / "output").mkdir(parents=True, exist_ok=True)
        (base / "output" / NAME).write_bytes(bytes(BYTES))


def give_back(base: Path) -> None:
    with contextlib.suppress(OSError):
        (base / "output" / NAME).unlink(missing_ok=True)
