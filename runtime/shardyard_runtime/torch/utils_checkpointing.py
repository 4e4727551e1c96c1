"""``smp.set_activation_checkpointing``: recompute a module in backward where the whole of it is on one rank."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from shardyard_runtime.errors import NotBuiltYet

_NAME = "smp.set_activation_checkpointing"
_REMOTE = "_shardyard_remote"  # what the pipeline leaves on a module that lives on another rank
_MARK = "_shardyard_checkpointed"


def set_activation_checkpointing(
    module: nn.Module,
    preserve_rng_state: bool = True,
    pack_args_as_tuple: bool = False,
    strategy: str = "each",
) -> None:
    """From now on the module's activations are recomputed in backward, by ``torch.utils.checkpoint``.

    Of an ``nn.Sequential`` or ``nn.ModuleList`` it is each child. ``pack_args_as_tuple`` is accepted: arguments
    of any form pass as they are. Raises NotBuiltYet for another strategy than "each"; a step raises it when a
    child of the module was placed on another rank.
    """
    if strategy != "each":
        raise NotBuiltYet(_NAME, f"strategy={strategy!r}", 'use strategy="each": the results are the same')
    targets = list(module) if isinstance(module, nn.Sequential | nn.ModuleList) else [module]
    for target in targets:
        if _REMOTE in target.__dict__ or _MARK in target.__dict__:
            continue  # the rank that owns it does it; or it is done
        target.__dict__[_MARK] = True
        target.__dict__["forward"] = functools.partial(_forward, target, target.forward, preserve_rng_state)


def _forward(
    module: nn.Module, forward: Callable[..., Any], preserve_rng_state: bool, *args: Any, **kwargs: Any
) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    for name, child in module.named_modules():
        if _REMOTE in child.__dict__:
            raise NotBuiltYet(
                _NAME,
                f"recomputing {type(module).__name__}, whose child {name!r} is on another partition,",
                "keep the module whole with smp.set_partition(module, ...), or checkpoint smaller modules",
            )
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=preserve_rng_state, **kwargs)
