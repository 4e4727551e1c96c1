"""The names of tensor parallelism and delayed creation: plain at degree 1, refused above it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar

import torch

from shardyard_runtime.errors import NotBuiltYet
from shardyard_runtime.torch.delayed.creation import delayed
from shardyard_runtime.torch.ranks import tp_size
from shardyard_runtime.torch.state import state

_Class = TypeVar("_Class", bound=type[torch.nn.Module])
# What scripts say about layers of the distributed transformer; a model that keeps its own layers has no use for it.
_LAYER_OPTIONS = frozenset(
    {
        "attention_in_fp32",
        "distribute_embedding",
        "flash_attention",
        "fp32_residual_addition",
        "fused_bias_gelu",
        "fused_dropout",
        "fused_softmax",
        "query_key_layer_scaling",
        "use_alibi",
        "zero_init",
    }
)


def require_degree_1(name: str) -> None:
    """Raises NotBuiltYet where ``tensor_parallel_degree`` is above 1, NotInitialized before ``smp.init``."""
    if tp_size() > 1:
        raise NotBuiltYet(name, "tensor parallelism", "set tensor_parallel_degree to 1")


def _check_options(name: str, options: dict[str, Any]) -> None:
    for option in options:
        if option not in _LAYER_OPTIONS:
            near = get_close_matches(option, _LAYER_OPTIONS, n=1)
            hint = f": did you mean {near[0]!r}?" if near else f", only {', '.join(sorted(_LAYER_OPTIONS))}"
            raise TypeError(f"{name} does not know {option!r}{hint}")
    if options.get("use_alibi"):
        raise NotBuiltYet(
            name, "use_alibi=True, which changes the attention,", "use a model that has ALiBi itself"
        )


@contextmanager
def model_creation(
    tensor_parallelism: bool = False, dtype: torch.dtype | None = None, **options: Any
) -> Iterator[None]:
    """Models made inside keep their own layers, and get ``dtype`` where it is given.

    With the parameter ``delayed_parameter_initialization`` as in :func:`delay_param_initialization`.

    The options are for layers of the distributed transformer: accepted, and without effect on others.
    Raises NotBuiltYet for tensor parallelism above degree 1 and for ``use_alibi``.
    """
    _check_options("smp.model_creation", options)
    if tensor_parallelism:
        require_degree_1("smp.model_creation(tensor_parallelism=True)")
    before = torch.get_default_dtype()
    if dtype is not None:
        torch.set_default_dtype(dtype)
    try:
        with delayed(state.initialized and state.cfg.delayed_parameter_initialization):
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def tensor_parallelism(enabled: bool = True, **options: Any) -> Iterator[None]:
    """Does nothing at tensor parallel degree 1. Raises NotBuiltYet above it when ``enabled``."""
    _check_options("smp.tensor_parallelism", options)
    if enabled:
        require_degree_1("smp.tensor_parallelism")
    yield


@contextmanager
def delay_param_initialization(enabled: bool = True) -> Iterator[None]:
    """Parameters of models made inside are created in the first step, each on the rank that owns it.

    Their values are those that an eager build with the same seed gives them. Raises RuntimeError for a model that cannot
    be created so.
    """
    with delayed(enabled):
        yield


def set_tensor_parallelism(module: torch.nn.Module, enabled: bool = True, **options: Any) -> torch.nn.Module:
    """Returns the module as it is at tensor parallel degree 1. Raises NotBuiltYet above it when ``enabled``."""
    _check_options("smp.set_tensor_parallelism", options)
    if enabled:
        require_degree_1("smp.set_tensor_parallelism")
    return module


def tp_register(
    dist_cls: type[torch.nn.Module],
    init_hook: Callable[..., Any] | None = None,
    forward_hook: Callable[..., Any] | None = None,
    return_hook: Callable[..., Any] | None = None,
) -> Callable[[_Class], _Class]:
    """Decorator of a module class: :func:`tp_register_with_module` for it."""

    def register(module_cls: _Class) -> _Class:
        tp_register_with_module(module_cls, dist_cls, init_hook, forward_hook, return_hook)
        return module_cls

    return register


def tp_register_with_module(
    module_cls: type[torch.nn.Module],
    dist_cls: type[torch.nn.Module],
    init_hook: Callable[..., Any] | None = None,
    forward_hook: Callable[..., Any] | None = None,
    return_hook: Callable[..., Any] | None = None,
) -> None:
    """Does nothing at tensor parallel degree 1, where no class is replaced. Raises NotBuiltYet above it."""
    require_degree_1("smp.tp_register_with_module")
