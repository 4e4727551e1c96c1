"""Notices the modules that are constructed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

_watchers: list[Callable[[nn.Module], None]] = []
_original = nn.Module.__init__


@contextlib.contextmanager
def constructing(each: Callable[[nn.Module], None]) -> Iterator[None]:
    """Calls ``each`` with every module constructed inside, before its own attributes are set; contexts nest."""
    _watchers.append(each)
    nn.Module.__init__ = _init  # type: ignore[method-assign]
    try:
        yield
    finally:
        _watchers.pop()
        if not _watchers:
            nn.Module.__init__ = _original  # type: ignore[method-assign]


def _init(self: nn.Module, *args: Any, **kwargs: Any) -> None:
    _original(self, *args, **kwargs)
    for each in reversed(_watchers):
        each(self)
