"""Reads the data files beside this package, which scripts/catalog.py makes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


class NoBase(LookupError):
    """No such base; the message says what there is instead, ``key`` the setting to change."""

    def __init__(self, key: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.key, self.message, self.remedy = key, message, remedy


@cache
def read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((Path(__file__).parent / "data" / name).read_text(encoding="utf-8"))
    return data
