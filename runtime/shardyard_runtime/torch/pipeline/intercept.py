"""What a call of a module does from partitioning on: it leaves this rank, or starts a random stream here."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from shardyard_runtime.torch.pipeline.randomness import draws

if TYPE_CHECKING:
    from shardyard_runtime.torch.pipeline.engine import Engine

_MARK = "_shardyard_call"
_original = nn.Module.__call__


class OutsideStep(RuntimeError):
    """The model was called outside a function decorated with ``smp.step``."""


class Remote:
    """A module that another rank runs."""

    def __init__(self, engine: Engine, path: str, owner: int, random: bool) -> None:
        self._engine, self._path, self.owner, self._random = engine, path, owner, random

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._check()
        return self._engine.call([self._called()], self.owner, args, kwargs)

    def before(self, others: Sequence[Remote], args: tuple[Any, ...]) -> Any:
        """Its owner runs this module and then ``others``, each on what the last returned, and keeps no activations."""
        self._check()
        calls = [one._called() for one in (self, *others)]
        return self._engine.call(calls, self.owner, args, {}, recompute=True)

    def _check(self) -> None:
        if not self._engine.in_step:
            raise OutsideStep(
                f"module {self._path!r} is on partition {self.owner} and can be called only inside a function "
                "decorated with @smp.step: move the call into one"
            )

    def _called(self) -> tuple[str, int]:
        return self._path, self._engine.streams.draw() if self._random else 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Remote:
        return self


class _Here:
    """A module that runs here, on a random stream of its own."""

    def __init__(self, engine: Engine, module: nn.Module) -> None:
        self._engine, self._module = engine, module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._engine.in_step:
            return _original(self._module, *args, **kwargs)
        with self._engine.streams.seeded(self._engine.streams.draw()):
            return _original(self._module, *args, **kwargs)

    def __reduce__(self) -> Any:
        return type(None), ()  # a copy of the module is a plain one


def _call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
    marked = self.__dict__.get(_MARK)
    return _original(self, *args, **kwargs) if marked is None else marked(*args, **kwargs)


def call_here(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call of a module that this rank owns, for another rank, which has drawn for its random stream."""
    return _original(module, *args, **kwargs)


def elsewhere(module: nn.Module) -> Remote | None:
    """What a call of the module does where another rank owns it."""
    marked = module.__dict__.get(_MARK)
    return marked if isinstance(marked, Remote) else None


def intercept(engine: Engine, module: nn.Module, path: str, owner: int, here: bool) -> None:
    """From now on a call of ``module`` runs on pipeline rank ``owner``; its hooks run there too."""
    nn.Module.__call__ = _call  # type: ignore[method-assign]
    if not here:
        remote = Remote(engine, path, owner, draws(module))
        module.__dict__[_MARK] = remote
        module.__dict__["forward"] = functools.partial(remote)
    elif draws(module):
        module.__dict__[_MARK] = _Here(engine, module)
