"""Runs one microbatch of the user's step function up to ``model.backward`` and records what its modules do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from shardyard_runtime.torch.tracing.as_found import left_as_found
from shardyard_runtime.torch.tracing.record import Trace
from shardyard_runtime.torch.tracing.recorder import Recorder
from shardyard_runtime.torch.tracing.stand_ins import Copy, copied, copy_of, on_meta, real_on, replace

# Runs the user's function for the first microbatch, on its arguments as the given function copies them.
Trial = Callable[[Callable[[Any], Any]], Any]

_tracing = False


class TraceFailed(RuntimeError):
    """The microbatch could not be run; the cause is the error of the user's code or model."""


class _ReachedBackward(BaseException):
    """Ends the user's function at ``model.backward``; its ``except Exception`` lets it pass."""


def is_tracing() -> bool:
    """True while the user's step function runs for the trace before partitioning, on the rank that traces."""
    return _tracing


def trace(
    wrapper: nn.Module, root: nn.Module, trial: Trial, device: torch.device, times: bool, memory: bool
) -> Trace:
    """The order, shapes and costs of the modules of ``root`` in one microbatch.

    ``wrapper`` is what the user's function calls: it holds the model as ``module``, and has ``backward``.
    Without ``times`` it runs on the meta device, which computes nothing, and on ``device`` only where the model
    needs values; with ``times`` on ``device`` twice, the first time to warm up. In both cases the user's function
    has run twice, each time up to ``model.backward``. A device without room for the whole model gives way to the
    CPU. Raises TraceFailed.
    """
    found: Trace | None = None
    # Any operation may lack a meta kernel or need values, and each says so in its own way.
    with contextlib.suppress(Exception):
        if times:
            _once(wrapper, root, trial, device, real_on(device), False, memory)
        else:
            found = _once(wrapper, root, trial, torch.device("meta"), on_meta, False, memory)
    if found is None:
        found = _for_real(wrapper, root, trial, device, times, memory)
    if not found.records:
        raise TraceFailed("the step function did not call the model")
    return found


def _for_real(
    wrapper: nn.Module, root: nn.Module, trial: Trial, device: torch.device, times: bool, memory: bool
) -> Trace:
    try:
        return _once(wrapper, root, trial, device, real_on(device), times, memory)
    except torch.cuda.OutOfMemoryError as error:
        failed: Exception = error
    except Exception as error:
        raise TraceFailed(f"{type(error).__name__}: {error}") from error
    if device.type == "cpu":
        raise TraceFailed(f"{type(failed).__name__}: {failed}") from failed
    return _for_real(wrapper, root, trial, torch.device("cpu"), times, memory)


def _once(
    wrapper: nn.Module,
    root: nn.Module,
    trial: Trial,
    device: torch.device,
    copy: Copy,
    times: bool,
    memory: bool,
) -> Trace:
    with left_as_found(wrapper):
        stand_in = copy_of(copy, keep=lambda parameter: parameter.device.type == device.type)
        real = replace(root.modules(), stand_in)
        recorder = Recorder(root, real, times, memory)
        with _stopping_at_backward(wrapper), recorder.recording():
            trial(lambda value: copied(value, copy))
    return recorder.trace(device.type)


@contextlib.contextmanager
def _stopping_at_backward(wrapper: nn.Module) -> Iterator[None]:
    global _tracing
    model: Any = wrapper.module

    def backward(*_: Any, **__: Any) -> None:
        raise _ReachedBackward

    wrapper.__dict__["backward"] = backward
    wrapper.__dict__["forward"] = model.__call__
    _tracing = True
    try:
        with contextlib.suppress(_ReachedBackward):
            yield
    finally:
        _tracing = False
