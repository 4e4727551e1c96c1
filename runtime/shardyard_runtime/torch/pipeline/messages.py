"""What ranks of a pipeline group say to each other during a step. ``step`` lets late messages be dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from shardyard_runtime.torch.pipeline.context import CallContext

CallId = tuple[int, int]  # (caller's global rank, its counter)


@dataclass
class Execute:
    """Run a module; ``structure`` and ``tensors`` are its (args, kwargs), see comm/torch_codec.py."""

    step: int
    call: CallId
    path: str
    microbatch: int
    structure: bytes
    tensors: list[torch.Tensor]
    needs_grad: list[bool]
    context: CallContext


@dataclass
class Executed:
    step: int
    call: CallId
    structure: bytes
    tensors: list[torch.Tensor]
    needs_grad: list[bool]


@dataclass
class Backward:
    """Continue backward through a call; one gradient an output, None where there is none."""

    step: int
    call: CallId
    owner_call: CallId
    microbatch: int
    gradients: list[torch.Tensor | None]


@dataclass
class BackwardDone:
    step: int
    call: CallId
    gradients: list[torch.Tensor | None]


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
