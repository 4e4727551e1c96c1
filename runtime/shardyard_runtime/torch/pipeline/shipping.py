"""Operations that go to the bytes: which may, where to, and what comes out.

Only functions that draw no random numbers and change nothing in place may be shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch

from shardyard_runtime.comm.torch_codec import flatten, unflatten
from shardyard_runtime.torch.pipeline.remote_tensor import RemoteTensor
from shardyard_runtime.torch.pipeline.values import CallId, Ref
from shardyard_runtime.torch.releases import size_in_bytes

_METHODS = (
    "add sub mul div true_divide pow neg abs exp log log1p sqrt rsqrt square reciprocal sigmoid tanh relu sin cos erf "
    "clamp clamp_min clamp_max sum mean var std amax amin argmax argmin softmax log_softmax logsumexp matmul mm bmm "
    "maximum minimum eq ne lt le gt ge isnan isfinite "
    "__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __pow__ __neg__ __matmul__ "
    "__eq__ __ne__ __lt__ __le__ __gt__ __ge__"
).split()
_FUNCTIONS = (
    "add sub mul div true_divide pow neg abs exp log log1p sqrt rsqrt square reciprocal sigmoid tanh relu sin cos erf "
    "clamp sum mean var std amax amin argmax argmin softmax log_softmax logsumexp matmul mm bmm maximum minimum "
    "eq ne lt le gt ge isnan isfinite cat concat stack where"
).split()
_FUNCTIONAL = (
    "relu gelu silu elu leaky_relu softplus sigmoid tanh softmax log_softmax normalize cross_entropy nll_loss "
    "mse_loss l1_loss smooth_l1_loss huber_loss kl_div binary_cross_entropy binary_cross_entropy_with_logits"
).split()
_VIEWS = (
    "view reshape view_as reshape_as flatten unflatten ravel transpose permute movedim swapaxes swapdims t squeeze unsqueeze "
    "expand expand_as broadcast_to narrow select chunk split tensor_split unbind contiguous to float double half "
    "bfloat16 type_as"
).split()
_FUNCTION_VIEWS = (
    "reshape flatten unflatten ravel transpose permute movedim swapaxes swapdims t squeeze unsqueeze broadcast_to narrow "
    "select chunk split tensor_split unbind"
).split()

OPERATIONS: dict[str, Callable[..., Any]] = {
    **{f"Tensor.{name}": getattr(torch.Tensor, name) for name in _METHODS},
    **{f"torch.{name}": getattr(torch, name) for name in _FUNCTIONS},
    **{f"functional.{name}": getattr(torch.nn.functional, name) for name in _FUNCTIONAL},
    **{f"Tensor.{name}": getattr(torch.Tensor, name) for name in [*_VIEWS, "__getitem__", "clone"]},
    **{f"torch.{name}": getattr(torch, name) for name in [*_FUNCTION_VIEWS, "clone"]},
}
# What these return may share memory with what they were given.
ALIASING = {f"Tensor.{name}" for name in [*_VIEWS, "__getitem__"]} | {
    f"torch.{name}" for name in _FUNCTION_VIEWS
}
_NAMES: dict[Any, str] = {}
for _name, _function in OPERATIONS.items():
    _NAMES.setdefault(_function, _name)


def name_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The name under which a function may be shipped, or None."""
    name = _NAMES.get(function)
    changes = kwargs.get("out") is not None or kwargs.get("inplace") or any(a is True for a in args[1:])
    if name == "Tensor.__getitem__" and not _is_basic(args[1]):
        return None
    return None if changes else name


def _is_basic(index: Any) -> bool:
    """True for an index that makes a view; with tensors or lists in it, shapes may depend on values."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or type(p) in (int, slice) for p in parts)


def destination(tensors: Sequence[torch.Tensor], here: int) -> int:
    """The rank where an operation on these moves the fewest bytes; ties to the caller.

    A parameter stays where it is, and with it the operation.
    """
    at: dict[int, int] = {here: 0}
    for tensor in tensors:
        if isinstance(tensor, RemoteTensor):
            ref = tensor.value.ref
            at[ref.holder] = at.get(ref.holder, 0) + ref.nbytes
            at[here] += ref.nbytes if tensor.value.here else 0
        elif tensor.is_leaf and tensor.requires_grad:
            return here
        else:
            at[here] += size_in_bytes(tensor)
    return max(at, key=lambda rank: (at[rank], rank == here))


def infer(
    name: str, structure: bytes, tensors: Sequence[torch.Tensor]
) -> tuple[bytes, tuple[OutputSpec, ...]]:
    """Structure, shapes and dtypes of what an operation returns. Raises what the operation itself would."""
    specs = tuple((tuple(t.shape), t.dtype, t.requires_grad) for t in tensors)
    return _infer(name, structure, specs, torch.is_grad_enabled())


OutputSpec = tuple[tuple[int, ...], torch.dtype, bool]


@lru_cache(maxsize=4096)
def _infer(
    name: str, structure: bytes, specs: tuple[OutputSpec, ...], grad: bool
) -> tuple[bytes, tuple[OutputSpec, ...]]:
    metas = [torch.empty(shape, dtype=dtype, device="meta", requires_grad=r) for shape, dtype, r in specs]
    args, kwargs = unflatten(structure, metas)
    # Hooks of a checkpointed region would count what is saved here, which they do not see when it is recomputed.
    unseen = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
    with torch.set_grad_enabled(grad), unseen:
        returned, outputs = flatten(OPERATIONS[name](*args, **kwargs))
    return returned, tuple((tuple(o.shape), o.dtype, o.requires_grad) for o in outputs)


def outputs_at(holder: int, call: CallId, specs: Sequence[OutputSpec]) -> list[Ref]:
    """The names that the outputs of a shipped operation will have."""
    return [Ref(holder, (call, index), shape, dtype) for index, (shape, dtype, _) in enumerate(specs)]
