"""What a call of a module will return, known from an earlier call like it: then nobody waits for the answer.

Two calls are alike when module, modes, shapes, dtypes and everything but the tensors' values are equal. A module
whose run looked at values, or called modules of other ranks, is not foreseen. Every answer is held against what was
foreseen.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from shardyard_runtime.torch.pipeline.messages import BackwardDone, Executed
from shardyard_runtime.torch.pipeline.remote import Call
from shardyard_runtime.torch.pipeline.shipping import OutputSpec
from shardyard_runtime.torch.pipeline.values import Ref

_KEPT = 4096  # signatures; a call that is new each time must not fill the memory


class Surprise(RuntimeError):
    """A module returned something else than for an equal call before, and its caller had gone on from that."""


def surprise(call: Call) -> Surprise:
    return Surprise(
        f"module {call.module!r} returned other shapes, another structure or other gradients than for an equal call "
        f"before, without having looked at values (called at {call.site}): the ranks had gone on from what it returned "
        "then. If that is meant, set SHARDYARD_FORESIGHT=0: each call of a module then waits for what it returns"
    )


@dataclass(frozen=True)
class Outputs:
    """What a call returns: the structure around its tensors, and their shapes, dtypes and need of a gradient."""

    structure: bytes
    specs: tuple[OutputSpec, ...]

    @classmethod
    def of(cls, answer: Executed) -> Outputs:
        specs = tuple((o.ref.shape, o.ref.dtype, o.needs_grad) for o in answer.outputs)
        return cls(answer.structure, specs)


class Foresight:
    """Answers by what was asked; ``None`` where it is known that they cannot be foreseen."""

    def __init__(self) -> None:
        self._outputs: dict[Hashable, Outputs | None] = {}
        self._gradients: dict[Hashable, tuple[bool, ...] | None] = {}
        self._asked = os.environ.get("SHARDYARD_FORESIGHT", "1") != "0"
        self.mode = 0  # stands for which modules are in training mode

    def key(
        self, module: str, context: Hashable, structure: bytes, tensors: Sequence[torch.Tensor]
    ) -> Hashable:
        specs = tuple((tuple(t.shape), t.dtype, t.requires_grad) for t in tensors)
        return (self.mode, module, context, structure, specs)

    def outputs(self, key: Hashable) -> Outputs | None:
        return self._outputs.get(key)

    def learns(self, key: Hashable) -> bool:
        """True when the answer should tell whether calls like this one can be foreseen."""
        return self._asked and key not in self._outputs

    def learn(self, key: Hashable, owner: int, answer: Executed) -> None:
        if self.learns(key):
            there = all(o.ref.holder == owner for o in answer.outputs)
            _bounded(self._outputs)[key] = Outputs.of(answer) if answer.foreseeable and there else None

    def gradients(self, key: Hashable) -> tuple[bool, ...] | None:
        """Which inputs get a gradient, by a key that also says of which outputs one is given."""
        return self._gradients.get(key)

    def learns_gradients(self, key: Hashable) -> bool:
        """True when the answer will tell whether backwards like this one can be foreseen."""
        return self._asked and key not in self._gradients

    def learn_gradients(self, key: Hashable, owner: int, answer: BackwardDone) -> None:
        if self.learns_gradients(key):
            _bounded(self._gradients)[key] = _gradients_of(owner, answer)


def held_against(foreseen: Outputs, owner: int, answer: Executed) -> bool:
    return foreseen == Outputs.of(answer) and all(o.ref.holder == owner for o in answer.outputs)


def gradients_held_against(foreseen: tuple[bool, ...], owner: int, answer: BackwardDone) -> bool:
    return foreseen == _gradients_of(owner, answer)


def _gradients_of(owner: int, answer: BackwardDone) -> tuple[bool, ...] | None:
    """None when a gradient is neither absent nor kept by the owner."""
    if any(g is not None and not (isinstance(g, Ref) and g.holder == owner) for g in answer.gradients):
        return None
    return tuple(g is not None for g in answer.gradients)


def _bounded(known: dict[Hashable, Any]) -> dict[Hashable, Any]:
    if len(known) >= _KEPT:
        known.clear()
    return known


class ValuesRead(TorchDispatchMode):
    """Notes whether the host, or a shape, came to depend on a tensor's values."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tags = getattr(func, "tags", ())
        if torch.Tag.data_dependent_output in tags:
            self.seen = True
        elif torch.Tag.dynamic_output_shape in tags:
            # An index of integers makes a shape that its own shape tells.
            self.seen |= func is not torch.ops.aten.index.Tensor or any(
                i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]
            )
        return func(*args, **(kwargs or {}))
