"""Records calls of modules and the operations inside them, each at the innermost module that is running."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from shardyard_runtime.torch.tracing.record import ModuleRecord, Trace, shapes_in, size_of, tensors_in

_FLOP: Mapping[Any, Callable[..., Any]] = {}  # torch before 2.1 counts none: bytes stand for them
with contextlib.suppress(ImportError):
    from torch.utils.flop_counter import flop_registry as _FLOP


class Recorder(TorchDispatchMode):
    """Active while a microbatch runs.

    Args:
        root: its modules are watched through their ``forward``, so that ``module.forward(...)`` counts as a call;
            the caller restores the attribute.
        real: parameter id of a stand-in to that of the parameter it stands for.
        timed: measure seconds; the recorder's own work is taken out.
        measured: activations are the tensors that autograd keeps, instead of those that modules return.
    """

    def __init__(self, root: nn.Module, real: Mapping[int, int], timed: bool, measured: bool) -> None:
        super().__init__()
        self.records: dict[int, ModuleRecord] = {}
        self._real, self._timed, self._measured = real, timed, measured
        self._stack: list[ModuleRecord] = []
        self._since = 0.0
        self._kept: dict[
            int, torch.UntypedStorage
        ] = {}  # held, or the next storage could get the same address
        for tensor in [*root.parameters(), *root.buffers()]:
            self._kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        for path, module in root.named_modules():
            module.__dict__["forward"] = self._watched(path, module, module.forward)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            if self._measured:
                stack.enter_context(torch.autograd.graph.saved_tensors_hooks(self._keep, lambda kept: kept))
            stack.enter_context(self)
            yield

    def trace(self, kind: str) -> Trace:
        return Trace(kind, self._timed, self.records)

    def _watched(self, path: str, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def call(*args: Any, **kwargs: Any) -> Any:
            record = self.records.setdefault(id(module), ModuleRecord(path, len(self.records)))
            record.calls += 1
            if record.calls == 1:
                record.inputs = shapes_in((args, kwargs))
            self._lap()
            self._stack.append(record)
            try:
                out = forward(*args, **kwargs)
            finally:
                self._lap()
                self._stack.pop()
            if record.calls == 1:
                record.outputs = shapes_in(out)
            if not self._measured:
                for tensor in tensors_in(out):
                    self._charge(record, tensor)
            return out

        return call

    def _lap(self) -> None:
        """Gives the time since the last one to the module that was running."""
        if not self._timed:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._stack:
            self._stack[-1].seconds += now - self._since
        self._since = now

    def _keep(self, tensor: torch.Tensor) -> torch.Tensor:
        if self._stack:
            self._charge(self._stack[-1], tensor)
        return tensor

    def _charge(self, record: ModuleRecord, tensor: torch.Tensor) -> None:
        """Counts a storage once, for the first module that keeps or returns it."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._kept:
            self._kept[storage._cdata] = storage
            record.activation_bytes += size_of(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not func._schema.is_mutable:
            args, kwargs = _together(func, args, kwargs)
        out = func(*args, **kwargs)
        if self._stack:
            before = time.perf_counter()
            record = self._stack[-1]
            inputs = list(tensors_in((args, kwargs)))
            record.reads |= {self._real[id(t)] for t in inputs if id(t) in self._real}
            formula = _FLOP.get(func._overloadpacket)
            if formula is not None:
                with contextlib.suppress(Exception):  # of a form that it does not know, the bytes count
                    record.flop += formula(*args, **kwargs, out_val=out)
            if not getattr(func, "is_view", False):
                record.moved_bytes += sum(map(size_of, [*inputs, *tensors_in(out)]))
            self._since += time.perf_counter() - before
        return out


def _together(func: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Tensors with values follow into an operation with those that have none: on the meta device.

    A move leaves a tensor of either kind where it is: a mask that was sent along can still be looked at.
    """
    devices = {tensor.device.type for tensor in tensors_in((args, kwargs))}
    if func is torch.ops.aten._to_copy.default and _meta(kwargs.get("device")) != ("meta" in devices):
        kwargs = {**kwargs, "device": args[0].device}
    if len(devices) < 2 or "meta" not in devices:
        return args, kwargs
    moved: tuple[Any, Any] = tree_map_only(torch.Tensor, lambda t: t.to("meta"), (args, kwargs))
    return moved


def _meta(device: Any) -> bool:
    return device is not None and torch.device(device).type == "meta"
