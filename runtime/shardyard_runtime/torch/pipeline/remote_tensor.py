"""Remote tensors: what a call of a module elsewhere returns, until somebody needs its bytes.

One knows its holder, shape and dtype. Passed on to another call, it travels from holder to user; an operation on it
goes to the bytes (shipping.py) or, where that cannot be or does not pay, fetches them first, for good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch.utils._pytree import tree_map_only

from shardyard_runtime.torch.pipeline.values import Ref
from shardyard_runtime.torch.releases import leaves

_T = torch.Tensor
# Answered from shape, dtype and autograd's own record.
_PROPERTIES = (
    "shape dtype device layout ndim requires_grad grad_fn is_leaf grad _version output_nr itemsize nbytes "
    "is_cuda is_sparse is_quantized is_meta is_nested _backward_hooks"
).split()
_METHODS = (
    "size dim numel nelement ndimension stride storage_offset element_size is_floating_point is_complex is_signed "
    "is_contiguous get_device register_hook retain_grad requires_grad_ __len__ __hash__ is_same_size is_inference"
).split()
_ABOUT = {
    *(getattr(_T, name).__get__ for name in _PROPERTIES if hasattr(_T, name)),
    *(getattr(_T, name) for name in _METHODS),
    *(torch.is_floating_point, torch.is_complex, torch.is_same_size, torch.numel),
}
_NEW = {torch.zeros_like, torch.ones_like, torch.empty_like, torch.full_like}


class KeptTooLong(RuntimeError):
    """A tensor of a module on another rank was used after its microbatch was over."""


class ChangedView(RuntimeError):
    """A remote tensor that shares memory with another one was changed in place."""


class Fetcher(Protocol):
    """What a remote tensor needs of the engine."""

    device: torch.device

    def fetch(self, value: Value) -> torch.Tensor: ...

    def ship(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def ship_add(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor | None: ...


@dataclass
class Scope:
    """The microbatch that values belong to.

    ``aliased`` are those that share memory with others where they are, ``inlined`` those whose bytes came unasked.
    """

    microbatch: int
    open: bool = True
    aliased: list[Value] = field(default_factory=list)
    inlined: list[Value] = field(default_factory=list)

    def check(self) -> None:
        """Raises ChangedView when a copy that was fetched was changed, and its views would not show that."""
        for value in self.aliased:
            if value.changed:
                raise ChangedView(
                    f"a tensor of shape {value.ref.shape} that has views, or is one, and is held by rank "
                    f"{value.ref.holder}, was changed in place: the others would not show it. Change a copy: "
                    "tensor.clone()"
                )


class Value:
    """A remote tensor's bytes: where they are, and a copy once they were fetched. Aliases share it."""

    def __init__(
        self,
        engine: Fetcher,
        ref: Ref,
        scope: Scope,
        origin: Any,
        raw: torch.Tensor | None = None,
        coming: bool = False,
    ) -> None:
        self.engine = engine
        self.ref = ref
        self.scope = scope
        self.origin = origin  # the call and output that made it: fetched once, they are wanted the next time
        self.device = engine.device
        self.given: set[int] = set()  # ranks that it was sent to
        self.used = False
        self._raw = raw
        self.coming = coming  # the bytes arrive without being asked for
        if raw is not None or coming:
            scope.inlined.append(self)

    @property
    def here(self) -> bool:
        return self._raw is not None

    def raw(self) -> torch.Tensor:
        """The bytes, without autograd. Raises KeptTooLong."""
        self.used = True
        if self._raw is None:
            self.check_open()
            self._raw = self.engine.fetch(self)
        return self._raw

    def again(self, here: bool) -> Value:
        """The same value for a recomputation, as it was when its bytes were ``here`` already, or not yet."""
        twin = Value(self.engine, self.ref, self.scope, self.origin)
        twin.given, twin.coming = self.given, self.coming
        if here:
            twin._raw = self.engine.fetch(twin) if self.changed else self._raw
        return twin

    @property
    def changed(self) -> bool:
        """True when the copy here was changed in place: it no longer is what the holder has."""
        return self._raw is not None and self._raw._version != 0

    def check_open(self) -> None:
        if not self.scope.open:
            raise KeptTooLong(
                f"a tensor of shape {self.ref.shape}, made on rank {self.ref.holder} for a microbatch that is over, was "
                "used: return it from the function decorated with @smp.step, or keep a copy of it (tensor.cpu())"
            )


class _Fetch(torch.autograd.Function):
    """Identity from a remote tensor to its bytes here."""

    @staticmethod
    def forward(ctx: Any, remote: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
        return raw.detach()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


class RemoteTensor(torch.Tensor):
    """A tensor whose bytes are on another rank of the pipeline group."""

    value: Value
    local: torch.Tensor | None

    @staticmethod
    def __new__(cls, value: Value) -> RemoteTensor:
        make = torch.Tensor._make_wrapper_subclass  # type: ignore[attr-defined]
        self = make(cls, value.ref.shape, dtype=value.ref.dtype, device=value.device)
        self.value = value
        self.local = None
        return self  # type: ignore[no-any-return]

    def __init__(self, value: Value) -> None: ...

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _ABOUT or func is _T.detach:
            first = args[0]
            if not isinstance(first, RemoteTensor) or first.local is None:
                with torch._C.DisableTorchFunctionSubclass():
                    return func(*args, **kwargs)
        remote = first_remote((args, kwargs))
        if remote is not None:
            remote.value.check_open()
            args, kwargs = tree_map_only(RemoteTensor, current, (args, kwargs))
            remote = first_remote((args, kwargs))
        if remote is not None:
            if func in _NEW and args and args[0] is remote:
                blank = torch.empty((), dtype=remote.value.ref.dtype, device=remote.value.device)
                args = (blank.expand(remote.value.ref.shape), *args[1:])
            else:
                shipped = remote.value.engine.ship(func, args, kwargs)
                if shipped is not NotImplemented:
                    return shipped
            args, kwargs = tree_map_only(RemoteTensor, fetched, (args, kwargs))
            result = func(*args, **kwargs)
            remote.value.scope.check()
            return result
        return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        """Below autograd: what the backward of local nodes does with remote gradients."""
        kwargs = kwargs or {}
        aten = torch.ops.aten
        if func in (aten.detach.default, aten.alias.default):
            return RemoteTensor(args[0].value)
        if func is aten.is_same_size.default:
            return args[0].shape == args[1].shape
        if func is aten.add.Tensor and not kwargs:
            remote = first_remote(args)
            assert remote is not None
            total = remote.value.engine.ship_add(*args)
            if total is not None:
                return total
        args, kwargs = tree_map_only(RemoteTensor, lambda t: t.value.raw(), (args, kwargs))
        return func(*args, **kwargs)


def first_remote(tree: Any) -> RemoteTensor | None:
    return next((leaf for leaf in leaves(tree) if isinstance(leaf, RemoteTensor)), None)


def current(tensor: torch.Tensor) -> torch.Tensor:
    """A remote tensor that was fetched for good is its copy from then on: that may have been changed in place."""
    if isinstance(tensor, RemoteTensor) and tensor.local is not None:
        return tensor.local
    return tensor


def fetched(tensor: RemoteTensor) -> torch.Tensor:
    """The bytes here, as a tensor of this rank's autograd graph; from now on the remote tensor stands for it."""
    if tensor.local is not None:
        return tensor.local
    raw = tensor.value.raw()
    if not tensor.requires_grad:
        tensor.local = raw
    elif torch.is_grad_enabled():
        tensor.local = _Fetch.apply(tensor, raw)
    else:
        return raw.detach()
    assert tensor.local is not None
    return tensor.local


def settled(tensor: torch.Tensor) -> torch.Tensor:
    """What to pass on to another rank: the remote tensor, unless its copy here was changed in place."""
    return fetched(tensor) if isinstance(tensor, RemoteTensor) and tensor.value.changed else tensor
