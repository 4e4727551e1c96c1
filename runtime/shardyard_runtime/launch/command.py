"""How a program that is not Python is started."""

from __future__ import annotations

import logging
import os

from .entry import EntryPoint

log = logging.getLogger(__name__)


def start_command(entry: EntryPoint, arguments: list[str]) -> list[str]:
    """Run from the code folder."""
    path = entry.code_dir / entry.program
    started = f"./{entry.program}"
    try:
        path.chmod(path.stat().st_mode | 0o755)
    except OSError as error:
        log.warning("%s cannot be made executable: %s", path, error)
    with open(path, "rb") as file:
        start = file.read(4)
    # Without a first line that names its interpreter, and no binary: what a shell makes of it.
    shell = [] if start.startswith((b"#!", b"\x7fELF")) and os.access(path, os.X_OK) else ["/bin/sh"]
    return [*shell, started, *arguments]
