"""What ranks of a pipeline group say to each other during a step. ``step`` lets late messages be dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from shardyard_runtime.torch.pipeline.context import CallContext
from shardyard_runtime.torch.pipeline.planned.planner import RankPlan
from shardyard_runtime.torch.pipeline.planned.slices import Record
from shardyard_runtime.torch.pipeline.values import CallId, Ref, ValueId

Carried = torch.Tensor | Ref  # a tensor whose bytes travel with the message, or the name of one elsewhere


@dataclass
class Begin:
    """From the leader, before anything of the step runs: the number of its plan, or none, and whether to record it.

    ``plan`` is the receiver's part where it does not have it.
    """

    step: int
    number: int | None
    plan: RankPlan | None
    records: bool


@dataclass
class LeftPlan:
    """The step goes another way than its plan: from here on its calls run in the order of arrival."""

    step: int
    number: int


@dataclass
class Recorded:
    """To the leader, at the end of a recorded step: what the sender did; None when it is going to change."""

    step: int
    record: Record | None


@dataclass
class Execute:
    """Run a module, or an operation; ``structure`` and ``arguments`` are (args, kwargs), see comm/torch_codec.py.

    It starts when the ``awaited`` values are here. ``wanted`` outputs travel back with the answer. Nobody waits for
    the answer of an operation: its caller knows the outputs' names, shapes and dtypes beforehand. ``seed`` starts the
    call's random stream, ``site`` is the line that called it; with ``learn`` the answer tells whether it is foreseeable.
    With ``recompute`` the owner keeps no activations of a module. ``then`` are modules, with their seeds, that one
    after another get what the last returned.
    """

    step: int
    call: CallId
    microbatch: int
    module: str | None
    operation: str | None
    structure: bytes
    arguments: list[Carried]
    needs_grad: list[bool]
    awaited: list[ValueId]
    wanted: frozenset[int]
    context: CallContext
    seed: int = 0
    site: str = ""
    learn: bool = False
    recompute: bool = False
    then: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        """What it calls, in words."""
        last = f" to {self.then[-1][0]}" if self.then else ""
        return (self.operation or self.module or "the model") + last


@dataclass
class Output:
    """One output of a call: where it is, and its bytes when they were wanted."""

    ref: Ref
    needs_grad: bool
    tensor: torch.Tensor | None


@dataclass
class Executed:
    """``foreseeable``: the run looked at no values, so an equal call returns equal shapes (foresight.py)."""

    step: int
    call: CallId
    structure: bytes
    outputs: list[Output]
    foreseeable: bool = False


@dataclass
class Backward:
    """Continue backward through a call; one gradient an output, None where there is none.

    Gradients of the ``wanted`` inputs travel back with the answer; without ``answer`` nobody waits for it.
    """

    step: int
    call: CallId
    owner_call: CallId
    microbatch: int
    gradients: list[Carried | None]
    awaited: list[ValueId]
    wanted: frozenset[int]
    answer: bool


@dataclass
class BackwardDone:
    step: int
    call: CallId
    gradients: list[Carried | None]


@dataclass
class Give:
    """Send a value that the receiver of this message holds, or will hold, to rank ``dest``."""

    step: int
    microbatch: int
    value: ValueId
    dest: int


@dataclass
class Given:
    step: int
    microbatch: int
    value: ValueId
    tensor: torch.Tensor


@dataclass
class MicrobatchDone:
    """From the leader: what was kept for this microbatch can go."""

    step: int
    microbatch: int


@dataclass
class Failed:
    """A call raised on its owner; ``error`` is the exception when it can be pickled."""

    step: int
    call: CallId
    error: BaseException | None
    summary: str
    traceback: str


@dataclass
class Ended:
    step: int
    result: Any
    ran_backward: bool


@dataclass
class Abandoned:
    step: int
    origin: int
    summary: str
