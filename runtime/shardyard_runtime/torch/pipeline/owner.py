"""The owner's side: calls of other ranks run here, their graphs are kept, backward continues into them."""

from __future__ import annotations

import contextlib
import functools
import linecache
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from shardyard_runtime.comm.torch_codec import flatten, unflatten
from shardyard_runtime.torch.pipeline import errors, shipping
from shardyard_runtime.torch.pipeline.caller import Caller
from shardyard_runtime.torch.pipeline.foresight import ValuesRead
from shardyard_runtime.torch.pipeline.intercept import call_here
from shardyard_runtime.torch.pipeline.messages import (
    Backward,
    BackwardDone,
    Carried,
    Execute,
    Executed,
    Failed,
    Give,
    Given,
    Output,
)
from shardyard_runtime.torch.pipeline.offload import Offload
from shardyard_runtime.torch.pipeline.parts import Parts
from shardyard_runtime.torch.pipeline.recompute import RECOMPUTED
from shardyard_runtime.torch.pipeline.remote_tensor import RemoteTensor, settled
from shardyard_runtime.torch.pipeline.scheduler import Phase
from shardyard_runtime.torch.pipeline.values import CallId, Ref


class _Enter(torch.autograd.Function):
    """Identity: the module gets a tensor that is neither a leaf nor, for autograd, a view.

    Of both, autograd itself refuses a change in place, without saying in which module. The gradient ends here, in
    ``sink``: a leaf would add it to its own, which a remote gradient does not take.
    """

    @staticmethod
    def forward(ctx: Any, sink: list[torch.Tensor | None], index: int, tensor: torch.Tensor) -> torch.Tensor:
        ctx.sink, ctx.index = sink, index
        return tensor.detach()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, None, None]:
        ctx.sink[ctx.index] = gradient
        return None, None, None


class _Leave(torch.autograd.Function):
    """Stands for an output when backward comes to it: the output itself, with its bytes, need not be kept."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.new_empty(()).expand(tensor.shape)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


@dataclass
class _Served:
    """What the backward of a served call needs; of an operation the ``inputs`` too, for their shapes."""

    name: str
    sink: list[torch.Tensor | None]
    needs_grad: list[bool]
    inputs: list[torch.Tensor]
    outputs: list[torch.Tensor]

    def backward(self, gradients: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
        """Adds to the parameters' gradients and returns one gradient an input, None where there is none."""
        pairs = [
            (o, g) for o, g in zip(self.outputs, gradients, strict=True) if g is not None and o.requires_grad
        ]
        if pairs:
            # Below torch functions: what autograd asks of remote tensors needs no bytes.
            with torch._C.DisableTorchFunctionSubclass():
                torch.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        return self.sink


class Owner:
    """Runs the modules that this rank owns, and operations on values that it holds, for the other ranks."""

    def __init__(self, parts: Parts, caller: Caller) -> None:
        self._caller = caller
        self._scheduler = parts.scheduler
        self._streams = parts.streams
        self._store = parts.store
        self._lock = parts.lock
        self._post = parts.post
        self._recompute = parts.recompute
        self._course = parts.course
        self._served: dict[int, dict[CallId, _Served]] = {}
        self.modules: dict[str, nn.Module] = {}
        self.own_error: BaseException | None = None

    @property
    def idle(self) -> bool:
        return not any(self._served.values())

    def close(self, microbatch: int) -> None:
        self._served.pop(microbatch, None)
        if self._recompute.offload is not None:
            self._recompute.offload.close(microbatch)

    def clear(self) -> None:
        self._served.clear()
        if self._recompute.offload is not None:
            self._recompute.offload.clear()

    # On the communication thread, under the lock ---------------------------------------------------------------

    def take(self, source: int, message: Execute | Backward | Give | Given) -> None:
        """A call becomes a ready task when the values that it awaits are here."""
        microbatch = message.microbatch
        if isinstance(message, Given):
            self._store.put(microbatch, message.value, message.tensor)
        elif isinstance(message, Give):
            give: Give = message
            self._store.when_here(microbatch, [give.value], lambda: self._send(give))
        elif isinstance(message, Execute):
            execute: Execute = message
            self._when_ready(message, lambda: self._run(source, execute), Phase.FORWARD)
        else:
            backward: Backward = message
            self._when_ready(message, lambda: self._run_backward(source, backward), Phase.BACKWARD)

    def _when_ready(self, message: Execute | Backward, body: Callable[[], None], phase: Phase) -> None:
        mb = message.microbatch
        name = message.name if isinstance(message, Execute) else ""
        self._store.when_here(
            mb,
            message.awaited,
            lambda: self._scheduler.spawn(body, mb, phase, message.call, name),
            f"the call of {name!r}" if name else "a backward",
        )

    def _send(self, give: Give) -> None:
        tensor = self._store.get(give.microbatch, give.value)
        assert tensor is not None
        self._post(give.dest, Given(give.step, give.microbatch, give.value, tensor))

    # On a task's thread ----------------------------------------------------------------------------------------

    def _run(self, source: int, message: Execute) -> None:
        if self._store.closed(message.microbatch):
            return  # an operation whose result nobody needed
        watch = ValuesRead() if message.learn else None
        try:
            with message.context.restored(), torch.autograd.set_multithreading_enabled(False):
                with watch or contextlib.nullcontext():
                    structure, served = self._serve(message)
            self._caller.settle()
        except Exception as error:
            self._refuse(source, message.step, message.call, error, message.site)
            return
        with self._lock:
            if message.context.grad and not self._store.closed(message.microbatch):
                self._served.setdefault(message.microbatch, {})[message.call] = served
        outputs = [self._output(message, index, tensor) for index, tensor in enumerate(served.outputs)]
        if message.recompute and self._recompute.offload is not None:
            self._send_away(message, served, self._recompute.offload)
        if message.module is not None:
            alone = watch is not None and not watch.seen and not self._scheduler.current.task.called
            self._post(source, Executed(message.step, message.call, structure, outputs, alone))

    def _serve(self, message: Execute) -> tuple[bytes, _Served]:
        inputs = [self._value(message.microbatch, argument) for argument in message.arguments]
        sink: list[torch.Tensor | None] = [None] * len(inputs)
        entered: list[torch.Tensor] = []
        for index, (tensor, need) in enumerate(zip(inputs, message.needs_grad, strict=True)):
            if need and torch.is_grad_enabled():
                entered.append(_Enter.apply(sink, index, tensor.detach().requires_grad_()))
            else:
                entered.append(tensor.detach())
        versions = [0 if t.is_inference() else t._version for t in entered]
        args, kwargs = unflatten(message.structure, entered)
        if message.operation is not None:
            result = shipping.OPERATIONS[message.operation](*args, **kwargs)
        elif message.recompute and (message.then or not self._recomputes(message.module)):
            result = self._recompute(functools.partial(self._call, message), args, kwargs)
        else:
            result = self._call(message, *args, **kwargs)
        for index, (tensor, version) in enumerate(zip(entered, versions, strict=True)):
            if not tensor.is_inference() and tensor._version != version:
                raise RuntimeError(
                    f"module {message.module!r} changed tensor {index} of its arguments in place (shape "
                    f"{tuple(tensor.shape)}), but its caller is on another rank and would not see it. Let the module work "
                    f"on a clone, or keep it with its caller: smp.set_partition(module, ...) on {message.module!r}"
                )
        self._caller.check(message.microbatch)
        structure, outputs = flatten(result)
        shaped = inputs if message.operation is not None else []
        made = [settled(o) for o in outputs]
        return structure, _Served(message.name, sink, message.needs_grad, shaped, made)

    def _send_away(self, message: Execute, served: _Served, offload: Offload) -> None:
        """What the call was given, and what it returned, waits on the host."""
        served.outputs = [
            _Leave.apply(o) if o.requires_grad and not isinstance(o, RemoteTensor) else o
            for o in served.outputs
        ]
        with self._lock:
            for value in (*message.awaited, *((message.call, i) for i in range(len(served.outputs)))):
                self._store.send_away(message.microbatch, value, offload.copies)

    def _recomputes(self, path: str | None) -> bool:
        """True for a module that is a checkpointed region itself."""
        return path is not None and RECOMPUTED in self.modules[path].__dict__

    def _call(self, message: Execute, *args: Any, **kwargs: Any) -> Any:
        assert message.module is not None
        with self._streams.seeded(message.seed):
            result = call_here(self.modules[message.module], args, kwargs)
        for path, seed in message.then:
            with self._streams.seeded(seed):
                result = call_here(self.modules[path], (result,), {})
        return result

    def _value(self, microbatch: int, argument: Carried) -> torch.Tensor:
        """The bytes where they are here, a remote tensor where a container may only pass it on."""
        if not isinstance(argument, Ref):
            return argument
        with self._lock:
            tensor = self._store.get(microbatch, argument.value)
        return self._caller.received(argument, microbatch) if tensor is None else tensor

    def _output(self, message: Execute, index: int, tensor: torch.Tensor) -> Output:
        needs_grad = bool(tensor.requires_grad)
        if isinstance(tensor, RemoteTensor):
            return Output(tensor.value.ref, needs_grad, None)
        kept = tensor.detach()
        ref = self._keep(message.microbatch, message.call, index, kept)
        return Output(ref, needs_grad, kept if index in message.wanted else None)

    def _keep(self, microbatch: int, call: CallId, index: int, tensor: torch.Tensor) -> Ref:
        with self._lock:
            self._store.put(microbatch, (call, index), tensor)
        return Ref(self._caller.rank, (call, index), tuple(tensor.shape), tensor.dtype)

    def _run_backward(self, source: int, message: Backward) -> None:
        microbatch = message.microbatch
        if self._store.closed(microbatch):
            return
        if self._recompute.offload is not None:
            self._recompute.offload.expect(microbatch)
        try:
            served = self._served.get(microbatch, {}).pop(message.owner_call)
            self._scheduler.current.task.name = served.name
            incoming = [None if g is None else self._value(microbatch, g) for g in message.gradients]
            with torch.autograd.set_multithreading_enabled(False):
                gradients = served.backward(incoming)
            self._caller.settle()
        except Exception as error:
            self._refuse(source, message.step, message.call, error)
            return
        answers: list[Carried | None] = []
        for index, gradient in enumerate(gradients):
            if gradient is None and not message.answer and served.needs_grad[index]:
                gradient = torch.zeros_like(served.inputs[index])  # its name is already in use
            if gradient is None or index in message.wanted:
                whole = isinstance(gradient, RemoteTensor)
                answers.append(gradient.value.raw() if whole else gradient)  # type: ignore[union-attr]
            elif isinstance(gradient, RemoteTensor):
                answers.append(gradient.value.ref)
            else:
                answers.append(self._keep(microbatch, message.call, index, gradient))
        if message.answer:
            self._post(source, BackwardDone(message.step, message.call, answers))

    def _refuse(self, source: int, step: int, call: CallId, error: Exception, site: str = "") -> None:
        self._course.leave()  # who called may do anything now
        if self.own_error is None and not getattr(error, "shardyard_follow_up", False):
            self.own_error = error
        failed = Failed(
            step,
            call,
            errors.portable(error),
            f"{type(error).__name__}: {error}",
            f"on rank {self._caller.rank}{_of(site)}:\n{errors.formatted(error)}",
        )
        self._post(source, failed)


def _of(site: str) -> str:
    """Names the line that called; every rank has the script."""
    if not site:
        return ""
    file, _, line = site.rpartition(":")
    return f", for the call at {site}: {linecache.getline(file, int(line)).strip()}"
