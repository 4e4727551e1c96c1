"""``smp.step``: a function that runs once a microbatch on the pipeline's first rank."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_flatten

from shardyard_runtime.torch.microbatch import StepOutput, join, split
from shardyard_runtime.torch.state import state
from shardyard_runtime.torch.tracing.stand_ins import copied


class StepFunction:
    """What ``smp.step`` returns. It does not bind: in a class body it stays a plain function."""

    StepOutput = StepOutput

    def __init__(
        self,
        function: Callable[..., Any],
        non_split_inputs: Sequence[str],
        input_split_axes: Mapping[str, int],
        detach_outputs: bool = True,
    ) -> None:
        functools.update_wrapper(self, function)
        self._detach = detach_outputs
        self._function = function
        self._non_split = frozenset(non_split_inputs)
        self._axes = dict(input_split_axes)
        self._signature = inspect.signature(function)
        unknown = (self._non_split | set(self._axes)) - set(self._signature.parameters)
        if unknown and not any(p.kind is p.VAR_KEYWORD for p in self._signature.parameters.values()):
            raise ValueError(
                f"smp.step of {function.__name__!r} names arguments that it does not have: {sorted(unknown)}; "
                f"its arguments are {list(self._signature.parameters)}"
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the step; the same result on every rank of the pipeline group.

        Raises whatever the function raised, on the rank where it was raised; PeerFailed on the others.
        """
        timeline = state.live.timeline
        if timeline is None:
            return self._run(args, kwargs)
        with timeline.recorder.step(getattr(self._function, "__name__", "step")) as output:
            output.append(self._run(args, kwargs))
        return output[0]

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        engine = state.live.engine
        model = state.model
        if model is not None:
            model.begin_step(self, lambda place: self._bodies(args, kwargs, place)[0]())
        try:
            if engine.leads:
                results, ran_backward = engine.lead(
                    lambda: self._bodies(args, kwargs), self._key(args, kwargs)
                )
            else:
                results, ran_backward = engine.follow()
        except Exception as error:
            if model is not None:
                model.reducer.abandon(error)
            raise
        if model is not None:
            model.reducer.finish(ran_backward)
            model.end_step()
        return join(results, self._detach)

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """What steps have in common that probably make the same calls. Numbers are left out: they may count steps."""
        values, structure = tree_flatten((args, kwargs))
        kinds = tuple(
            (tuple(v.shape), v.dtype)
            if isinstance(v, torch.Tensor)
            else v
            if isinstance(v, bool | str)
            else type(v)
            for v in values
        )
        return (id(self), torch.is_grad_enabled(), kinds, repr(structure))

    def _bodies(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], place: Callable[[Any], Any] | None = None
    ) -> list[Callable[[], Any]]:
        place = place or _to_device
        count = state.cfg.microbatches
        bound = self._signature.bind(*args, **kwargs)
        columns: dict[str, list[Any]] = {}
        for name, value in bound.arguments.items():
            if name in self._non_split:
                columns[name] = [place(value)] * count
            else:
                columns[name] = split(place(value), count, self._axes.get(name, 0), name)

        def body(index: int) -> Any:
            bound_here = inspect.BoundArguments(self._signature, {n: c[index] for n, c in columns.items()})  # type: ignore[arg-type]
            return self._function(*bound_here.args, **bound_here.kwargs)

        grad = torch.is_grad_enabled()

        def with_mode(index: int) -> Any:
            with torch.set_grad_enabled(grad):
                return body(index)

        return [functools.partial(with_mode, index) for index in range(count)]


def _to_device(value: Any) -> Any:
    """Tensors on the CPU go to this rank's device, as the library that scripts were written for did."""
    device = state.live.device
    return value if device.type == "cpu" else copied(value, lambda tensor: tensor.to(device))


def step(
    function: Callable[..., Any] | None = None,
    *,
    non_split_inputs: Sequence[str] = (),
    input_split_axes: Mapping[str, int] | None = None,
    detach_outputs: bool = True,
) -> Any:
    """Decorator, bare or called: each tensor argument is split into microbatches along its axis (0).

    Without ``detach_outputs`` what the function returns keeps the graph, and its memory, on the pipeline's first rank,
    and there as far as it was computed on that rank: a backward that comes to another one after the step raises
    OutsideStep. On the other ranks results have no graph in either case.
    """

    def wrap(f: Callable[..., Any]) -> StepFunction:
        return StepFunction(f, non_split_inputs, input_split_axes or {}, detach_outputs)

    return wrap if function is None else wrap(function)
