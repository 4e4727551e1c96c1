"""``smp.set_activation_checkpointing``, ``smp.checkpoint`` and ``smp.checkpoint_sequential``.

A region is recomputed by the rank that runs it. What it called on other ranks is not run again: its result is kept, and
its owner recomputes its own piece.
"""

from __future__ import annotations

import functools
import itertools
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from shardyard_runtime.torch.pipeline.intercept import Remote, elsewhere
from shardyard_runtime.torch.pipeline.randomness import Streams
from shardyard_runtime.torch.pipeline.recompute import RECOMPUTED, Recompute
from shardyard_runtime.torch.state import state

log = logging.getLogger(__name__)


def set_activation_checkpointing(
    module: nn.Module,
    preserve_rng_state: bool = True,
    pack_args_as_tuple: bool = False,
    strategy: str = "each",
) -> None:
    """From now on the module's activations are not kept between forward and backward, but computed again.

    Args:
        module: of an ``nn.Sequential`` or ``nn.ModuleList`` it is what it holds, by ``strategy``.
        preserve_rng_state: the second run draws the same random numbers as the first.
        pack_args_as_tuple: accepted: arguments pass as they are, and a layer that takes a tuple gets it in any case.
        strategy: of an ``nn.Sequential``, "each" layer is a region of its own; "contiguous" layers on one partition make
            one region; "group_N" makes regions of N such layers, fewer where the partition changes.

    Raises ValueError for another strategy.
    """
    size = _size_of_groups(strategy)
    if size != 1 and isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        _replace_forward(
            module, lambda _: functools.partial(_run_in_groups, module, size, preserve_rng_state)
        )
        return
    targets = list(module) if isinstance(module, nn.Sequential | nn.ModuleList) else [module]
    if size != 1:
        log.warning(
            "strategy %r: %s is not called as a sequence, %s",
            strategy,
            type(module).__name__,
            "it is one region" if targets == [module] else "each of its modules is checkpointed on its own",
        )
    for target in targets:
        _replace_forward(target, lambda plain: functools.partial(_run_again, plain, preserve_rng_state))


def checkpoint(
    function: Callable[..., Any], *args: Any, preserve_rng_state: bool = True, **kwargs: Any
) -> Any:
    """``function(*args, **kwargs)``, a module or any other callable, whose activations are computed again in backward."""
    return _recompute()(function, args, kwargs, preserve_rng_state)


def checkpoint_sequential(
    sequential_module: nn.Sequential,
    input: Any,
    strategy: str = "each",
    preserve_rng_state: bool = True,
    pack_args_as_tuple: bool = False,
) -> Any:
    """Runs an ``nn.Sequential`` on ``input``, a tensor or a tuple of them, with its layers in regions by ``strategy``.

    Arguments are as in :func:`set_activation_checkpointing`. Raises TypeError for another module.
    """
    if not isinstance(sequential_module, nn.Sequential):
        raise TypeError(
            f"checkpoint_sequential takes an nn.Sequential, not {type(sequential_module).__name__}: "
            "use smp.checkpoint for another module"
        )
    return _run_in_groups(sequential_module, _size_of_groups(strategy), preserve_rng_state, input)


def _size_of_groups(strategy: str) -> int | None:
    """Layers a region; None for as many as there are."""
    if strategy == "contiguous":
        return None
    found = re.fullmatch(r"group_([1-9]\d*)", strategy)
    if strategy != "each" and found is None:
        raise ValueError(f"strategy is 'each', 'contiguous' or 'group_N' with a number, not {strategy!r}")
    return int(found[1]) if found else 1


def _replace_forward(module: nn.Module, made: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """``made`` of the module's own forward, only where it runs: its owner does it."""
    if elsewhere(module) is None:
        module.__dict__["forward"] = made(module.__dict__.setdefault(RECOMPUTED, module.forward))


def _run_again(forward: Callable[..., Any], preserve_rng_state: bool, *args: Any, **kwargs: Any) -> Any:
    return _recompute()(forward, args, kwargs, preserve_rng_state)


def _run_in_groups(module: nn.Sequential, size: int | None, preserve_rng_state: bool, value: Any) -> Any:
    """The layers of an ``nn.Sequential``, consecutive ones with one owner in regions of ``size``."""
    for layers in _groups(list(module), size):
        remotes = [elsewhere(layer) for layer in layers]
        if isinstance(remotes[0], Remote) and torch.is_grad_enabled():
            value = remotes[0].before([one for one in remotes[1:] if one is not None], (value,))
        else:
            value = _recompute()(functools.partial(_in_a_row, layers), (value,), {}, preserve_rng_state)
    return value


def _groups(layers: Sequence[nn.Module], size: int | None) -> Iterator[list[nn.Module]]:
    def owner(layer: nn.Module) -> int | None:
        remote = elsewhere(layer)
        return None if remote is None else remote.owner

    for _, run in itertools.groupby(layers, owner):
        together = list(run)
        step = size or len(together)
        yield from (together[i : i + step] for i in range(0, len(together), step))


def _in_a_row(layers: Sequence[nn.Module], value: Any) -> Any:
    for layer in layers:
        value = layer(value)
    return value


def _recompute() -> Recompute:
    if state.initialized:
        return state.live.engine.recompute
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else "cpu"
    return Recompute(Streams(torch.device(device)))
