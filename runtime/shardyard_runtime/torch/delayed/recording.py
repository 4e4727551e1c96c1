"""While a model is created: its tensors get no storage, and what is done with them goes on a tape."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_map_only

from shardyard_runtime.torch.delayed.tape import Tape, written_by
from shardyard_runtime.torch.releases import leaves


class Recording(TorchDispatchMode):
    """Makes new tensors on the meta device; values that are read are worked out from the tape."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():  # here, tensors of the meta device are just that
            return self._run(func, args, kwargs or {})

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        tensors = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        delayed = any(self._tape.knows(t) for t in tensors)
        names = {argument.name for argument in func._schema.arguments}
        if not delayed and (tensors or "device" not in names):
            return func(*args, **kwargs)
        if kwargs.get("generator") is not None:
            raise RuntimeError(
                f"{func} draws from a generator of its own, which delayed initialization cannot repeat: create this model "
                "with smp.delay_param_initialization(enabled=False)"
            )
        changed = written_by(func, args, kwargs)
        if any(not t.is_meta for t in changed):
            return func(*self._read(args), **self._read(kwargs))
        placed = {**kwargs, "device": torch.device("meta")} if "device" in names else kwargs
        if "pin_memory" in placed:
            placed = {**placed, "pin_memory": None}
        try:
            result = func(*_on_meta(args), **_on_meta(placed))
        except (
            NotImplementedError,
            RuntimeError,
        ):  # not without values, or wrong: with values it will say so
            return func(*self._read(args), **self._read(kwargs))
        self._tape.add(func, args, placed, result)
        return result

    def _read(self, tree: Any) -> Any:
        def value(tensor: torch.Tensor) -> torch.Tensor:
            return self._tape.value(tensor) if self._tape.knows(tensor) else tensor

        return tree_map_only(torch.Tensor, value, tree)


class Disguise(TorchFunctionMode):
    """Tensors look as if they were on the CPU, and give the values that they would have."""

    _WAYS = (torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__)  # no operations of torch.ops
    _ANSWERS = MappingProxyType(
        {torch.Tensor.is_meta.__get__: False, torch.Tensor.device.__get__: torch.device("cpu")}  # type: ignore[attr-defined]
    )

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self._ANSWERS and self._tape.knows(args[0]):
            return self._ANSWERS[func]
        if func in self._WAYS and self._tape.knows(args[0]):
            args = (self._tape.value(args[0]), *args[1:])
        return func(*args, **(kwargs or {}))


_CONSTANT = ("zeros_", "ones_", "constant_", "eye_", "dirac_")


@contextlib.contextmanager
def initializers_recorded(tape: Tape) -> Iterator[None]:
    """Functions of ``torch.nn.init`` go on the tape as a whole: some look at the values that they have drawn."""

    def recorded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def fill(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            if not tape.knows(tensor) or kwargs.get("generator") is not None:
                return function(tensor, *args, **kwargs)
            with _disable_current_modes(), torch._C.DisableTorchFunction():
                function(tensor, *args, **kwargs)  # fills nothing, but says what is wrong with the arguments
                tape.add_call(function, tensor, args, kwargs, name not in _CONSTANT)
            return tensor

        return fill

    own = {n: f for n, f in vars(nn.init).items() if n.endswith("_") and n[0] != "_" and callable(f)}
    for name, function in own.items():
        setattr(nn.init, name, recorded(name, function))
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(nn.init, name, function)


def _on_meta(tree: Any) -> Any:
    return tree_map_only(torch.Tensor, lambda t: t if t.is_meta else t.to("meta"), tree)
