"""What takes longer to make than to find again, kept by what it follows from."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress

from shardyard.paths import cache_dir


def kept(kind: str, source: bytes, make: Callable[[], bytes]) -> bytes:
    """What `make` made of these bytes before, else what it makes now. Where nothing can be kept, it is made
    each time."""
    place = cache_dir() / kind / hashlib.sha256(source).hexdigest()
    try:
        return place.read_bytes()
    except OSError:
        made = make()
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=place.parent, prefix="new-")
        with os.fdopen(number, "wb") as file:
            file.write(made)
        os.replace(name, place)  # whole or not at all
    return made
