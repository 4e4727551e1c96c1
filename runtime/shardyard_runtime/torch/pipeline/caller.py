"""The caller's side: remote calls go out, remote tensors come back, values are fetched when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from shardyard_runtime.torch.pipeline import errors, regions, shipping
from shardyard_runtime.torch.pipeline.context import CallContext
from shardyard_runtime.torch.pipeline.foresight import (
    Foresight,
    gradients_held_against,
    held_against,
    surprise,
)
from shardyard_runtime.torch.pipeline.intercept import OutsideStep
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
from shardyard_runtime.torch.releases import autocast

Input = tuple[bool, bool, torch.Size, torch.dtype]  # remote, requires grad, shape, dtype


@dataclass
class _Asked:
    """A call that was sent: ``task`` waits for the answer, or has gone on from a foreseen one."""

    task: Task
    call: Call | None = None
    as_foreseen: Callable[[Any], bool] = bool


class Caller:
    """Calls that this rank makes of others."""

    def __init__(self, parts: Parts) -> None:
        self.rank = parts.rank
        self.device = parts.device
        self._scheduler = parts.scheduler
        self._store = parts.store
        self._lock = parts.lock
        self._post = parts.post
        self._course = parts.course
        self._asked: dict[CallId, _Asked] = {}
        self.foresight = Foresight()
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
        self._asked.clear()

    @property
    def idle(self) -> bool:
        return not self._asked

    # -- calls ------------------------------------------------------------------------------------------------

    def execute(self, call: Call, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[bool]]:
        """Sends the call, and waits for its answer unless it is known. Outputs, and which of them need grad.

        In the recomputation of a checkpointed region nothing is sent: the outputs are those of the first time.
        """
        kept = regions.kept(call.target)
        if kept is not None:
            call.returned, call.elsewhere = kept.returned, kept.elsewhere
            return [output.again() for output in kept.outputs], kept.needs_grad
        outputs, needs_grad = self._execute(call, tensors)
        if regions.inside():
            snapshots = [regions.snapshot(output) for output in outputs]
            regions.keep(regions.Kept(call.target, call.returned, call.elsewhere, snapshots, needs_grad))
        return outputs, needs_grad

    def _execute(self, call: Call, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[bool]]:
        task: Task = self._scheduler.current.task
        call.identity, call.microbatch = self._next(), task.microbatch
        origin = (call.target, call.context.grad)
        wanted = frozenset(self._wanted.get(origin, ()))
        if call.module is not None:
            task.called = True
            call.key = self.foresight.key(call.target, call.context, call.structure, tensors)
        foreseen = self.foresight.outputs(call.key)
        call.foreseen = foreseen is not None
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
            wanted,
            call.context,
            call.seed,
            call.site,
            call.module is not None and self.foresight.learns(call.key),
            call.recompute or regions.inside(),
            call.then,
        )
        answered = call.module is not None
        self._course.made(call.owner, call.target, _calls(awaited), answered, new=message.learn)
        if not answered:
            self._post(call.owner, message)
            refs = shipping.outputs_at(call.owner, call.identity, call.specs)
            return [self._made(ref, None, None) for ref in refs], [need for _, _, need in call.specs]
        if foreseen is not None:
            self._go_on(call, message, call.identity, lambda a: held_against(foreseen, call.owner, a))
            call.returned = foreseen.structure
            refs = shipping.outputs_at(call.owner, call.identity, foreseen.specs)
            made = [self._made(ref, (origin, i), None, i in wanted) for i, ref in enumerate(refs)]
            return made, [need for _, _, need in foreseen.specs]
        answer = self._ask(call.owner, message, call.identity, f"module {call.module!r}")
        assert isinstance(answer, Executed)
        self.foresight.learn(call.key, call.owner, answer)
        call.returned = answer.structure
        call.elsewhere = frozenset(i for i, o in enumerate(answer.outputs) if o.ref.holder != call.owner)
        outputs = [self._made(o.ref, (origin, i), o.tensor) for i, o in enumerate(answer.outputs)]
        return outputs, [o.needs_grad for o in answer.outputs]

    def backward(
        self, call: Call, inputs: Sequence[Input], gradients: Sequence[torch.Tensor | None]
    ) -> list[torch.Tensor | None]:
        """Continues backward through a call; gradients of remote inputs stay with the owner. Raises OutsideStep."""
        if getattr(self._scheduler.current, "task", None) is None:
            raise OutsideStep(
                f"a backward came to {call.target!r} on rank {call.owner} after its step, and that rank has let go of it: "
                "call model.backward in the function decorated with @smp.step"
            )
        arguments: list[Carried | None] = [None] * len(gradients)
        # Of an operation, or a call that was foreseen, it is not known here whether it has run yet.
        awaited: list[ValueId] = [(call.identity, 0)] if call.operation is not None or call.foreseen else []
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
        # Every gradient stays with the owner: those that there will be have names already.
        stays = not wanted and self.foresight.outputs(call.key) is not None
        key = (call.key, tuple(g is not None for g in gradients), tuple(need for _, need, _, _ in inputs))
        foreseen = self.foresight.gradients(key) if stays else None
        target = f"the backward of {call.target}"
        self._course.made(
            call.owner, target, _calls(awaited), answered, new=stays and self.foresight.learns_gradients(key)
        )
        message = Backward(
            self.step, identity, call.identity, call.microbatch, arguments, awaited, wanted, answered
        )
        if not answered or foreseen is not None:
            if foreseen is None:
                self._post(call.owner, message)
                foreseen = tuple(need for _, need, _, _ in inputs)
            else:
                self._go_on(
                    call, message, identity, lambda a: gradients_held_against(foreseen, call.owner, a)
                )
            return [
                self._made(Ref(call.owner, (identity, i), tuple(shape), dtype), None, None) if there else None
                for i, (there, (_, _, shape, dtype)) in enumerate(zip(foreseen, inputs, strict=True))
            ]
        what = f"the backward of module {call.module!r}" if call.module else f"that of {call.operation}"
        answer = self._ask(call.owner, message, identity, what)
        assert isinstance(answer, BackwardDone)
        if stays:
            self.foresight.learn_gradients(key, call.owner, answer)
        return [self._made(g, None, None) if isinstance(g, Ref) else g for g in answer.gradients]

    def _ask(self, owner: int, message: Any, identity: CallId, what: str) -> Any:
        task = self._scheduler.prepare_wait(lambda: f"rank {owner} to run {what}", [identity])
        self._asked[identity] = _Asked(task)
        self._post(owner, message)
        answer = self._scheduler.wait(task)
        if isinstance(answer, Failed):
            raise errors.arrived(answer.error, answer.summary, answer.traceback)
        return answer

    def _go_on(self, call: Call, message: Any, identity: CallId, as_foreseen: Callable[[Any], bool]) -> None:
        """Sends what will be answered as foreseen. The running task ends only when the answer has come."""
        task: Task = self._scheduler.current.task
        with self._lock:
            task.unanswered += 1
            self._asked[identity] = _Asked(task, call, as_foreseen)
        self._post(call.owner, message)

    def settle(self) -> None:
        """Waits until every call that the running task made has been answered."""
        task: Task = self._scheduler.current.task
        with self._lock:
            if not task.unanswered:
                return
            self._scheduler.prepare_wait(lambda: f"the answers of {task.unanswered} calls of modules")
            task.settling = True
        self._scheduler.wait(task)
        task.settling = False

    def answered(self, message: Executed | BackwardDone | Failed) -> None:
        """On the communication thread, under the lock: wakes who waits, or holds the answer against the foreseen one."""
        asked = self._asked.pop(message.call, None)
        if asked is not None and asked.call is None:
            self._scheduler.wake(asked.task, message)
        elif isinstance(message, Failed):
            self._course.leave()
            error = errors.arrived(message.error, message.summary, message.traceback)
            # Of an operation nobody here keeps the task that asked for it.
            self._scheduler.fail(error) if asked is None else self._scheduler.fail_task(asked.task, error)
        elif asked is not None:
            self._as_foreseen(asked, message)

    def _as_foreseen(self, asked: _Asked, message: Executed | BackwardDone) -> None:
        call, task = asked.call, asked.task
        assert call is not None
        if not asked.as_foreseen(message):
            self._course.leave()
            self._scheduler.fail_task(task, surprise(call))
            return
        for output in message.outputs if isinstance(message, Executed) else ():
            if output.tensor is not None:
                self._store.put(call.microbatch, output.ref.value, output.tensor)
        task.unanswered -= 1
        if task.settling and not task.unanswered:
            self._scheduler.wake(task, None)

    # -- remote tensors ---------------------------------------------------------------------------------------

    def fetch(self, value: Value) -> torch.Tensor:
        """Waits for a value's bytes; remembers that this output of this module was needed here."""
        if value.origin is not None:
            origin, index = value.origin
            self._wanted.setdefault(origin, set()).add(index)
        microbatch, name = value.scope.microbatch, value.ref.value
        task = self._scheduler.prepare_wait(
            lambda: f"the bytes of a tensor of shape {value.ref.shape} from rank {value.ref.holder}",
            [name[0]],
        )
        with self._lock:
            if self._store.drop_changed(microbatch, name):
                value.given.discard(self.rank)
                value.coming = False
            self._store.when_here(microbatch, [name], lambda: self._scheduler.wake(task, None))
        if not value.coming:
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
        return not (autocast(self.device.type)[0] or torch.is_inference_mode_enabled())

    def _made(self, ref: Ref, origin: Any, raw: torch.Tensor | None, coming: bool = False) -> torch.Tensor:
        microbatch = self._scheduler.current.task.microbatch
        if ref.holder == self.rank:
            with self._lock:
                tensor = self._store.get(microbatch, ref.value)
            assert tensor is not None
            return tensor.detach()
        scope = self._scopes.setdefault(microbatch, Scope(microbatch))
        return RemoteTensor(Value(self, ref, scope, origin, raw, coming))

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
        task: Task = self._scheduler.current.task
        microbatch, path = task.identity
        task.calls += 1
        return (self.step, microbatch, (*path, task.calls - 1))


def _calls(values: Sequence[ValueId]) -> list[CallId]:
    return [call for call, _ in values]


def _settled(gradient: torch.Tensor) -> torch.Tensor:
    """A remote gradient that a hook changed here in place is sent from here."""
    if isinstance(gradient, RemoteTensor) and gradient.value.changed:
        return gradient.value.raw()
    return gradient


def _without_grad(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach()
