"""Models created now, whose parameters are created once it is known which rank owns them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from shardyard_runtime.torch.construction import constructing
from shardyard_runtime.torch.delayed.recording import Disguise, Recording, initializers_recorded
from shardyard_runtime.torch.delayed.tape import Seen, Tape
from shardyard_runtime.torch.partition.place import blank
from shardyard_runtime.torch.tracing.stand_ins import replace

_MARK = "_shardyard_delayed"
_active = False


@dataclass(frozen=True)
class _Delayed:
    """Where a parameter's value will come from."""

    tape: Tape
    seen: Seen

    def __deepcopy__(self, memo: dict[int, object]) -> _Delayed:
        return self


@contextlib.contextmanager
def delayed(enabled: bool = True) -> Iterator[None]:
    """Parameters of the modules made inside get their shapes now, and their values by :func:`materialize`.

    Both are those that they would have had at once, and random numbers drawn afterwards are too. Until then their values
    read as NaN and cannot be written; buffers have theirs when the context ends.
    """
    global _active
    if not enabled or _active:
        yield
        return
    tape, made = Tape(), list[nn.Module]()
    _active = True
    try:
        with constructing(made.append), initializers_recorded(tape), Disguise(tape), Recording(tape):
            yield
    except (NotImplementedError, RuntimeError) as error:
        if "meta" not in str(error):
            raise
        raise RuntimeError(
            f"a model cannot be created with delayed initialization: {error}. Pass enabled=False to "
            "smp.delay_param_initialization, and leave delayed_parameter_initialization out"
        ) from error
    finally:
        _active = False
    _stand_in(tape, made)


def _stand_in(tape: Tape, made: list[nn.Module]) -> None:
    """Puts values of their own in the place of buffers, and what is left of parameters in theirs."""
    wanted: set[int] = set()

    def find(tensor: torch.Tensor) -> torch.Tensor:
        if tape.knows(tensor) and not isinstance(tensor, nn.Parameter):
            wanted.add(tape.seen(tensor).storage)
        return tensor

    replace(made, find)
    values = tape.play(wanted, every_draw=True)

    def put(tensor: torch.Tensor) -> torch.Tensor:
        if not tape.knows(tensor):
            return tensor
        seen = tape.seen(tensor)
        if not isinstance(tensor, nn.Parameter):
            return seen.of(values[seen.storage])
        parameter = nn.Parameter(blank(tensor.shape, tensor.dtype), tensor.requires_grad)
        parameter.__dict__.update({**tensor.__dict__, _MARK: _Delayed(tape, seen)})
        return parameter

    replace(made, put)


def is_delayed(module: nn.Module) -> bool:
    """True while any parameter of the module waits for its value."""
    return any(_MARK in parameter.__dict__ for parameter in module.parameters())


def materialize(root: nn.Module, here: Iterable[nn.Parameter]) -> None:
    """Gives the parameters that are ``here`` their values; of the root's others only shape and dtype remain.

    Raises RuntimeError for one that was written in the meantime.
    """
    for name, parameter in root.named_parameters():
        if _MARK in parameter.__dict__ and parameter.is_floating_point() and _written(parameter):
            raise RuntimeError(
                f"parameter {name!r} was created with delayed initialization and written before it had a value, which "
                "would be lost: initialize it where the model is created, or load a state dict into smp.DistributedModel"
            )
    by_tape: dict[int, list[tuple[nn.Parameter, _Delayed]]] = {}
    for parameter in here:
        mark: _Delayed | None = parameter.__dict__.get(_MARK)
        if mark is not None:
            by_tape.setdefault(id(mark.tape), []).append((parameter, mark))
    for marked in by_tape.values():
        with torch.random.fork_rng(devices=[]):
            values = marked[0][1].tape.play({mark.seen.storage for _, mark in marked})
        for parameter, mark in marked:
            parameter.data = mark.seen.of(values[mark.seen.storage]).to(parameter.dtype)
    for parameter in root.parameters():
        parameter.__dict__.pop(_MARK, None)


def _written(parameter: nn.Parameter) -> bool:
    """All its elements are one place in memory."""
    return bool(parameter.detach().as_strided((1,), (1,)).isfinite().any())
