"""Texts that take longer to make than to find again, kept by what they follow from."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress

from shardyard.paths import cache_dir


def kept(kind: str, source: bytes, make: Callable[[], str]) -> str:
    """What `make` made of these bytes before, else what it makes now. Where nothing can be kept, it is made
    each time."""
    place = cache_dir() / kind / hashlib.sha256(source).hexdigest()
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = make()
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=place.parent, prefix="new-")
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, place)  # whole or not at all
    return text
