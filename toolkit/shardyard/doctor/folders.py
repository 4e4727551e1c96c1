"""Where things are kept: the cache folder, and room to build."""

from __future__ import annotations

import os
import shutil
import tempfile

from shardyard.doctor.base import Repair, Report
from shardyard.paths import cache_dir

GIB = 1024**3
NEEDED_FREE = 10 * GIB


class Cache:
    name = "cache"

    def look(self) -> Report:
        folder = cache_dir()
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return Report(self.name, True, f"the cache folder {str(folder)!r} is writable", needed=False)
        if folder.exists():
            text = f"the cache folder {str(folder)!r} is not a folder that you may write to"
            return Report(self.name, False, text, "set SHARDYARD_CACHE to one that you may", needed=False)
        text = f"the cache folder {str(folder)!r} is not there yet"
        return Report(self.name, False, text, f"mkdir -p {folder}", needed=False)

    def fix(self) -> Repair:
        folder = cache_dir()
        if folder.exists():
            return Repair(False, "owner and mode of a folder that is there are not changed")
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            return Repair(False, f"cannot make it: {error.strerror or error}")
        return Repair(True, f"made {folder}")


class Disk:
    name = "disk"

    def look(self) -> Report:
        where = tempfile.gettempdir()
        free = shutil.disk_usage(where).free
        ok = free >= NEEDED_FREE
        remedy = "" if ok else "docker system prune, or set TMPDIR to a larger disk"
        return Report(self.name, ok, f"{free / GIB:.1f} GiB free in {where}", remedy)

    def fix(self) -> Repair:
        return Repair(False, "nothing is deleted for you")
