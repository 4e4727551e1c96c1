"""Small questions that scripts ask, and functions that are only a name so far."""

from __future__ import annotations

import torch

from shardyard_runtime.errors import refusing
from shardyard_runtime.torch.state import state
from shardyard_runtime.torch.tensor_parallel import require_degree_1
from shardyard_runtime.torch.tracing.run import is_tracing as is_tracing


class _Initialized:
    """True after ``smp.init``, whether it is called or used as a value: scripts do either."""

    def __bool__(self) -> bool:
        return state.initialized

    def __call__(self) -> bool:
        return state.initialized


initialized = _Initialized()


def get_distribution_axis(parameter: torch.nn.Parameter) -> int | None:
    """Along which dimension tensor parallelism splits a parameter: none, at degree 1."""
    if state.initialized:
        require_degree_1("smp.utils.get_distribution_axis")
    return None


def rmsg(message: object) -> str:
    """The message with this rank in front, for logs."""
    return f"[{state.live.rank}] {message}" if state.initialized else str(message)


def num_microbatches() -> int:
    return state.cfg.microbatches


hvd_average_grads = refusing(
    "smp.hvd_average_grads",
    "averaging gradients with Horovod",
    'set the parameter "ddp": true, which averages them inside smp.step',
)
dump_model = refusing("dump_model", "the original library's self-test", "leave the call out")
verify = refusing("verify", "the original library's self-test", "leave the call out")
