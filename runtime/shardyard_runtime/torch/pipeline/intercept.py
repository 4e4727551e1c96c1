"""Where a call of a module leaves this rank: at the instance's call, and at ``module.forward``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from shardyard_runtime.torch.pipeline.engine import Engine

_MARK = "_shardyard_remote"
_original = nn.Module.__call__


class OutsideStep(RuntimeError):
    """The model was called outside a function decorated with ``smp.step``."""


class _Remote:
    def __init__(self, engine: Engine, path: str, owner: int) -> None:
        self._engine, self._path, self._owner = engine, path, owner

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._engine.in_step:
            raise OutsideStep(
                f"module {self._path!r} is on partition {self._owner} and can be called only inside a function "
                "decorated with @smp.step: move the call into one"
            )
        return self._engine.call(self._path, self._owner, args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Remote:
        return self


def _call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
    remote = self.__dict__.get(_MARK)
    return _original(self, *args, **kwargs) if remote is None else remote(*args, **kwargs)


def intercept(engine: Engine, module: nn.Module, path: str, owner: int) -> None:
    """From now on a call of ``module`` runs on pipeline rank ``owner``; its hooks run there too."""
    nn.Module.__call__ = _call  # type: ignore[method-assign]
    remote = _Remote(engine, path, owner)
    module.__dict__[_MARK] = remote
    module.__dict__["forward"] = functools.partial(remote)
