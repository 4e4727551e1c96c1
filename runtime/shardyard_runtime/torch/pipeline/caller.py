"""The caller's side: remote calls go out, remote tensors come back, values are fetched when they are needed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from shardyard_runtime.torch.pipeline import errors, shipping
from shardyard_runtime.torch.pipeline.context import CallContext
from shardyard_runtime.torch.pipeline.messages import (
    Backward,
    BackwardDone,
    Carried,
    Execute,
    Executed,
    Failed,
    Give,
)
from shardyard_runtime.torch.pipeline.parts import Parts
from shardyard_runtime.torch.pipeline.remote import Call, ship
from shardyard_runtime.torch.pipeline.remote_tensor import RemoteTensor, Scope, Value
from shardyard_runtime.torch.pipeline.scheduler import Task
from shardyard_runtime.torch.pipeline.values import CallId, Ref, ValueId

Input = tuple[bool, bool, torch.Size, torch.dtype]  # remote, requires grad, shape, dtype


class Caller:
    """Calls that this rank makes of others."""

    def __init__(self, parts: Parts) -> None:
        self.rank = parts.rank
        self.device = parts.device
        self._scheduler = parts.scheduler
        self._store = parts.store
        self._lock = parts.lock
        self._post = parts.post
        self._counter = itertools.count()
        self._waiting: dict[CallId, Task] = {}
        self._scopes: dict[int, Scope] = {}
        self._wanted: dict[Any, set[int]] = {}
        self.containers: frozenset[str] = frozenset()  # modules with parts on several ranks
        self.step = 0

    # -- microbatches -----------------------------------------------------------------------------------------

    def check(self, microbatch: int) -> None:
        """Raises what makes the microbatch's result doubtful."""
        if microbatch in self._scopes:
            self._scopes[microbatch].check()

    def close(self, microbatch: int) -> None:
        """From now on the microbatch's remote tensors raise."""
        scope = self._scopes.pop(microbatch, None)
        if scope is not None:
            scope.open = False
            for value in scope.inlined:
                if not value.used:
                    origin, index = value.origin
                    self._wanted[origin].discard(index)

    def begin(self, step: int) -> None:
        self.step = step

    def clear(self) -> None:
        for microbatch in list(self._scopes):
            self.close(microbatch)
        self._waiting.clear()

    @property
    def idle(self) -> bool:
        return not self._waiting

    # -- calls ------------------------------------------------------------------------------------------------

    def execute(self, call: Call, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[bool]]:
        """Sends the call; of a module waits for its answer, of an operation knows it. Outputs, which need grad."""
        task: Task = self._scheduler.current.task
        call.identity, call.microbatch = self._next(), task.microbatch
        origin = (call.module, call.context.grad)
        # A container may only pass its inputs on: it fetches them itself if it needs them.
        give = call.module not in self.containers
        arguments, awaited = self._carried(tensors, call.owner, task.microbatch, give)
        message = Execute(
            self.step,
            call.identity,
            task.microbatch,
            call.module,
            call.operation,
            call.structure,
            arguments,
            [bool(t.requires_grad) for t in tensors],
            awaited,
            frozenset(self._wanted.get(origin, ())),
            call.context,
            call.seed,
            call.site,
        )
        if call.operation is not None:
            self._post(call.owner, message)
            refs = shipping.outputs_at(call.owner, call.identity, call.specs)
            return [self._made(ref, None, None) for ref in refs], [need for _, _, need in call.specs]
        answer = self._ask(call.owner, message, call.identity, f"module {call.module!r}")
        assert isinstance(answer, Executed)
        call.returned = answer.structure
        call.elsewhere = frozenset(i for i, o in enumerate(answer.outputs) if o.ref.holder != call.owner)
        outputs = [self._made(o.ref, (origin, i), o.tensor) for i, o in enumerate(answer.outputs)]
        return outputs, [o.needs_grad for o in answer.outputs]

    def backward(
        self, call: Call, inputs: Sequence[Input], gradients: Sequence[torch.Tensor | None]
    ) -> list[torch.Tensor | None]:
        """Continues backward through a call; gradients of remote inputs stay with the owner."""
        arguments: list[Carried | None] = [None] * len(gradients)
        # Of an operation it is not known here whether it has run yet.
        awaited: list[ValueId] = [] if call.operation is None else [(call.identity, 0)]
        for index, gradient in enumerate(gradients):
            if gradient is not None:
                # For an output that the owner had from elsewhere it only passes the gradient on.
                give = index not in call.elsewhere
                (arguments[index],), names = self._carried(
                    [_settled(gradient)], call.owner, call.microbatch, give
                )
                awaited += names
        wanted = frozenset(i for i, (remote, need, _, _) in enumerate(inputs) if need and not remote)
        answered = call.module is not None or bool(wanted)
        identity = self._next()
        message = Backward(
            self.step, identity, call.identity, call.microbatch, arguments, awaited, wanted, answered
        )
        if not answered:
            self._post(call.owner, message)
            return [
                self._made(Ref(call.owner, (identity, i), tuple(shape), dtype), None, None) if need else None
                for i, (_, need, shape, dtype) in enumerate(inputs)
            ]
        what = f"the backward of module {call.module!r}" if call.module else f"that of {call.operation}"
        answer = self._ask(call.owner, message, identity, what)
        assert isinstance(answer, BackwardDone)
        return [self._made(g, None, None) if isinstance(g, Ref) else g for g in answer.gradients]

    def _ask(self, owner: int, message: Any, identity: CallId, what: str) -> Any:
        task = self._scheduler.prepare_wait(lambda: f"rank {owner} to run {what}")
        self._waiting[identity] = task
        self._post(owner, message)
        answer = self._scheduler.wait(task)
        if isinstance(answer, Failed):
            raise errors.arrived(answer.error, answer.summary, answer.traceback)
        return answer

    def answered(self, message: Executed | BackwardDone | Failed) -> None:
        """On the communication thread: wakes who waits; a failure that nobody waits for fails the step."""
        task = self._waiting.pop(message.call, None)
        if task is not None:
            self._scheduler.wake(task, message)
        elif isinstance(message, Failed):
            self._scheduler.fail(errors.arrived(message.error, message.summary, message.traceback))

    # -- remote tensors ---------------------------------------------------------------------------------------

    def fetch(self, value: Value) -> torch.Tensor:
        """Waits for a value's bytes; remembers that this output of this module was needed here."""
        if value.origin is not None:
            origin, index = value.origin
            self._wanted.setdefault(origin, set()).add(index)
        microbatch, name = value.scope.microbatch, value.ref.value
        task = self._scheduler.prepare_wait(
            lambda: f"the bytes of a tensor of shape {value.ref.shape} from rank {value.ref.holder}"
        )
        with self._lock:
            self._store.when_here(microbatch, [name], lambda: self._scheduler.wake(task, None))
        self._give(value, self.rank)
        self._scheduler.wait(task)
        tensor = self._store.get(microbatch, name)
        assert tensor is not None
        return tensor

    def ship(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return ship(self, function, args, kwargs)

    def ship_add(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor | None:
        """The sum of two gradients where a remote one is; None when both have their bytes here."""
        away = [t for t in (a, b) if isinstance(t, RemoteTensor) and not t.value.here]
        if not away or not self.may_ship():
            return None
        structure, tensors = shipping.flatten(((a, b), {}))
        with torch.no_grad():
            returned, specs = shipping.infer("torch.add", structure, [_without_grad(t) for t in tensors])
            holder = away[0].value.ref.holder
            call = Call(holder, None, "torch.add", structure, CallContext.capture(), returned, specs)
            (total,), _ = self.execute(call, tensors)
        return total

    def is_remote(self, tensor: torch.Tensor) -> bool:
        return isinstance(tensor, RemoteTensor)

    def may_ship(self) -> bool:
        """Not under autocast or inference mode, where the outputs' dtypes cannot be told beforehand."""
        return not (torch.is_autocast_enabled(self.device.type) or torch.is_inference_mode_enabled())

    def _made(self, ref: Ref, origin: Any, raw: torch.Tensor | None) -> torch.Tensor:
        microbatch = self._scheduler.current.task.microbatch
        if ref.holder == self.rank:
            with self._lock:
                tensor = self._store.get(microbatch, ref.value)
            assert tensor is not None
            return tensor.detach()
        scope = self._scopes.setdefault(microbatch, Scope(microbatch))
        return RemoteTensor(Value(self, ref, scope, origin, raw))

    def received(self, ref: Ref, microbatch: int) -> RemoteTensor:
        """A remote tensor for a value that another rank passed to a call here."""
        scope = self._scopes.setdefault(microbatch, Scope(microbatch))
        return RemoteTensor(Value(self, ref, scope, None))

    def _carried(
        self, tensors: Sequence[torch.Tensor], dest: int, microbatch: int, give: bool
    ) -> tuple[list[Carried], list[ValueId]]:
        """Tensors as a message takes them, and the values that the receiver has to await."""
        carried: list[Carried] = []
        awaited: list[ValueId] = []
        for tensor in tensors:
            if not isinstance(tensor, RemoteTensor):
                carried.append(tensor)
                continue
            tensor.value.check_open()
            ref = tensor.value.ref
            carried.append(ref)
            if give:
                self._give(tensor.value, dest)
                awaited.append(ref.value)
        return carried, awaited

    def _give(self, value: Value, dest: int) -> None:
        ref = value.ref
        if ref.holder == dest or dest in value.given:
            return
        value.given.add(dest)
        self._post(ref.holder, Give(self.step, value.scope.microbatch, ref.value, dest))

    def _next(self) -> CallId:
        return (self.rank, next(self._counter))


def _settled(gradient: torch.Tensor) -> torch.Tensor:
    """A remote gradient that a hook changed here in place is sent from here."""
    if isinstance(gradient, RemoteTensor) and gradient.value.changed:
        return gradient.value.raw()
    return gradient


def _without_grad(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach()
