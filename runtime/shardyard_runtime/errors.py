"""Errors that every part of the runtime may raise; nothing here needs a framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


class NotBuiltYet(NotImplementedError):
    """A part of the API that exists by name only was asked to do something."""

    def __init__(self, name: str, missing: str, advice: str) -> None:
        super().__init__(f"{name}: {missing} is not built yet; {advice}")
        self.name = name
        self.missing = missing
        self.advice = advice

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.missing, self.advice)


def refusing(name: str, missing: str, advice: str) -> Callable[..., NoReturn]:
    """A function that raises NotBuiltYet whatever it is called with."""

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotBuiltYet(name, missing, advice)

    refuse.__name__ = refuse.__qualname__ = name.rpartition(".")[2]
    refuse.__doc__ = f"Not built yet: {missing}. Raises NotBuiltYet."
    return refuse
