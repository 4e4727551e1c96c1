"""A step of ours, and how long a step takes on all ranks: what the benchmarks of the engine share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

import smdistributed.modelparallel.torch as smp
from benchmarks.pipeline.gpt import Gpt, loss_of


def ours(gpt: Gpt, tokens: torch.Tensor, labels: torch.Tensor) -> Callable[[], Any]:
    """Forward and backward of all microbatches, of a model that may have been placed by hand."""
    model = smp.DistributedModel(gpt)

    @smp.step
    def train(model: Any, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = loss_of(model(tokens), labels)
        model.backward(loss)
        return loss

    return lambda: train(model, tokens, labels)


def timed(step: Callable[[], Any]) -> float:
    """Seconds until all ranks are through."""
    smp.barrier()
    start = time.perf_counter()
    step()
    smp.barrier()
    return time.perf_counter() - start
