"""``smp.DistributedModel``: the user's module, partitioned at the first step."""

from __future__ import annotations

import contextlib
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.checkpoints.together import gather, regroup
from shardyard_runtime.torch.data_parallel import replicas
from shardyard_runtime.torch.data_parallel.buckets import CommHook
from shardyard_runtime.torch.data_parallel.gradients import Reducer
from shardyard_runtime.torch.data_parallel.joining import joined
from shardyard_runtime.torch.partition.agree import agreed
from shardyard_runtime.torch.partition.decision import Decision
from shardyard_runtime.torch.partition.place import move, release
from shardyard_runtime.torch.pipeline.intercept import OutsideStep, intercept
from shardyard_runtime.torch.pipeline.remote_tensor import current
from shardyard_runtime.torch.plain_degree import PlainDegree
from shardyard_runtime.torch.precision.model import LowPrecisionModule, low_dtype
from shardyard_runtime.torch.state import state
from shardyard_runtime.torch.tracing.run import Trial

PARTIAL_KEY = "_smp_is_partial"


class ReplicatedModule(nn.Module):
    """The layer between wrapper and model when ``ddp`` is on; scripts reach the model by ``.module.module``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


class DistributedModel(PlainDegree, nn.Module):
    """Wraps the one model of a script. Calls, and :meth:`backward`, only inside ``smp.step``.

    Args:
        module: the model. Before the first step all its parameters are here; afterwards those that this rank's
            partition does not own have shape and dtype, but no storage of their own.
        trace_device: where a microbatch is traced for real, before the first step: "gpu", this rank's device,
            or "cpu". Nothing is computed where the model lets itself be traced by shapes alone.
        trace_execution_times: run the trace for real and weigh modules by seconds instead of operations counted.
        trace_memory_usage: count the tensors that autograd keeps as activations, instead of modules' outputs.
        overlapping_allreduce: accepted; gradients are reduced at the end of the step in either case.
        backward_passes_per_step: steps with a backward between two reductions of the gradients.
        average_grads_across_microbatches: divide gradients by the number of microbatches.
        bucket_cap_mb: size of a reduced bucket of gradients, in MiB.
        broadcast_buffers: with ``ddp`` every training step starts with the first replica's buffers on all of them.
        gradient_as_bucket_view: accepted; no bucket outlives its reduction, so there is no memory to save.
    """

    def __init__(
        self,
        module: nn.Module,
        trace_device: str = "gpu",
        trace_execution_times: bool = False,
        overlapping_allreduce: bool = True,
        backward_passes_per_step: int = 1,
        average_grads_across_microbatches: bool = True,
        bucket_cap_mb: float = 25,
        trace_memory_usage: bool = False,
        broadcast_buffers: bool = True,
        gradient_as_bucket_view: bool = False,
    ) -> None:
        super().__init__()
        cfg = state.cfg
        if state.model is not None:
            raise RuntimeError("smp.DistributedModel was made twice: a script wraps one model")
        if trace_device not in ("gpu", "cpu"):
            raise ValueError(f"trace_device is 'gpu' or 'cpu', not {trace_device!r}")
        self.trace_device = trace_device
        self.trace_execution_times = trace_execution_times
        self.trace_memory_usage = trace_memory_usage
        dtype = low_dtype(cfg)
        inner = module if dtype is None else LowPrecisionModule(module, dtype)
        self.module = ReplicatedModule(inner) if cfg.ddp else inner
        self.partitioned = False
        self.reducer = Reducer(self, bucket_cap_mb, backward_passes_per_step)
        self._broadcast_buffers = broadcast_buffers
        self._gathered = False  # parameters of other partitions are here, by cpu()
        self._scale = 1.0 / cfg.microbatches if average_grads_across_microbatches else 1.0
        self._owner: dict[str, int] = {}
        self._decision: Decision | None = None
        self._post_partition: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._post_step: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        state.model = self

    # -- inside a step ----------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if not state.live.engine.in_step:
            raise OutsideStep(
                "the model was called outside a step: call it in a function decorated with @smp.step"
            )
        return self.module(*args, **kwargs)

    def backward(self, tensors: Any, grad_tensors: Any = None) -> None:
        """``torch.autograd.backward`` of this microbatch; may let other microbatches go first."""
        engine = state.live.engine
        if not engine.in_step:
            raise OutsideStep("model.backward was called outside a function decorated with @smp.step")
        outputs = [current(t) for t in ([tensors] if isinstance(tensors, torch.Tensor) else tensors)]
        given = [grad_tensors] if isinstance(grad_tensors, torch.Tensor) else list(grad_tensors or [])
        given = given or [None] * len(outputs)
        scaled = [
            (torch.ones_like(t) if g is None and t.numel() == 1 else g)
            for t, g in zip(outputs, given, strict=True)
        ]
        engine.park()
        scale = self._scale * (state.optimizer.loss_scale if state.optimizer is not None else 1.0)
        # Below torch functions: what autograd asks of remote tensors needs no bytes.
        with torch.autograd.set_multithreading_enabled(False), torch._C.DisableTorchFunctionSubclass():
            torch.autograd.backward(outputs, [None if g is None else g * scale for g in scaled])

    # -- partitioning -----------------------------------------------------------------------------------------

    def begin_step(self, trial: Trial | None = None) -> None:
        """Called by ``smp.step`` on every rank; the first call partitions, with a trace of ``trial``."""
        if self.partitioned:
            if self._gathered:
                self._settle()
            if torch.is_grad_enabled():
                self.reducer.begin(buffers=self._broadcast_buffers and self.training)
            return
        runtime, root = state.live, self.get_module()
        self._decision = agreed(self, trial)
        self._owner = self._decision.owner
        named = list(root.named_modules(remove_duplicate=False))
        mine = runtime.placement.rank_in(Group.PP, runtime.rank)
        runtime.engine.own(dict(named), self._owner)
        for path, module in root.named_modules():
            intercept(runtime.engine, module, path, self._owner[path], self._owner[path] == mine)
        self.partitioned = True
        self._settle()
        replicas.synchronize(self)
        if runtime.rank == 0 and self._decision.partitions > 1:
            print(self.partition_table(), file=sys.stderr, flush=True)
        if state.optimizer is not None:
            state.optimizer.after_partition()
        for hook in list(self._post_partition.values()):
            hook(self, state.optimizer)
        if self._broadcast_buffers:
            replicas.broadcast_buffers(self)  # a hook may have loaded those that each replica saved

    def _settle(self) -> None:
        """Puts what this rank's partition owns on its device, and frees the rest."""
        here = {id(module) for module in self.local_modules()}
        for module in self.get_module().modules():
            if id(module) in here:
                move(module, state.live.device)
            else:
                release(module)
        self._gathered = False

    def end_step(self) -> None:
        for hook in list(self._post_step.values()):
            hook(self, state.optimizer)
        self._post_step.clear()

    def partition_table(self) -> str:
        """One line a partition: modules, parameters, cost and share. Raises RuntimeError before the first step."""
        if self._decision is None:
            raise RuntimeError("the model is partitioned at the first step: there is no table yet")
        return self._decision.table()

    def register_post_partition_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(model, optimizer)``, once, after partitioning and before the first forward."""
        handle = RemovableHandle(self._post_partition)
        self._post_partition[handle.id] = hook
        return handle

    def register_post_step_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(model, optimizer)``, once, after the first step."""
        handle = RemovableHandle(self._post_step)
        self._post_step[handle.id] = hook
        return handle

    # -- what is here -----------------------------------------------------------------------------------------

    def get_module(self) -> nn.Module:
        """The user's model, below every wrapper."""
        module = self.module
        while isinstance(module, ReplicatedModule | LowPrecisionModule):
            module = module.module
        return module

    def local_named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Modules that this rank's partition owns; all of them before the first step."""
        mine = state.live.placement.rank_in(Group.PP, state.live.rank)
        for path, module in self.get_module().named_modules():
            if not self.partitioned or self._owner[path] == mine:
                yield path, module

    def local_modules(self) -> Iterator[nn.Module]:
        return (module for _, module in self.local_named_modules())

    def local_named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        seen: set[int] = set()
        for path, module in self.local_named_modules():
            for name, parameter in module.named_parameters(path, recurse=False):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield name, parameter

    def local_parameters(self) -> Iterator[nn.Parameter]:
        return (parameter for _, parameter in self.local_named_parameters())

    def local_named_buffers(self) -> Iterator[tuple[str, torch.Tensor]]:
        for path, module in self.local_named_modules():
            yield from module.named_buffers(path, recurse=False)

    def local_buffers(self) -> Iterator[torch.Tensor]:
        return (buffer for _, buffer in self.local_named_buffers())

    # -- data parallelism, and devices ------------------------------------------------------------------------

    def join(
        self,
        divide_by_initial_world_size: bool = True,
        enable: bool = True,
        throw_on_early_termination: bool = False,
    ) -> contextlib.AbstractContextManager[None]:
        """For replicas with different numbers of batches: ``with model.join():`` around the training loop. Needs ``ddp``.

        Those that are through take part in the others' averages with zeros, divided by the number of replicas or,
        without ``divide_by_initial_world_size``, of those that still train; at the end all get the model of one that
        trained longest, not its optimizer's state. With ``throw_on_early_termination`` all raise RuntimeError as soon
        as one is through. Every rank of a pipeline group makes the same number of steps, and each at least one.
        """
        if not state.cfg.ddp:
            raise RuntimeError('model.join() is for data parallelism: set the parameter "ddp": true')
        if not enable or not replicas.several():
            return contextlib.nullcontext()
        return joined(self, divide_by_initial_world_size, throw_on_early_termination)

    def register_comm_hook(self, state: object, callable: CommHook) -> None:
        """``callable(state, bucket)`` replaces the average of each bucket of gradients; see ``torch.distributed``.

        The bucket has the methods of ``torch.distributed.GradBucket``; the result is a ``torch.futures.Future`` of the
        tensor that becomes its gradients. The hooks of ``torch.distributed.algorithms.ddp_comm_hooks`` fit, with
        ``smp.get_dp_process_group()`` as their process group. Once a model; without replicas it is not called.

        Raises RuntimeError at a second call, TypeError for what is not a function.
        """
        self.reducer.register(state, callable)

    def cpu(self) -> DistributedModel:
        """Brings all partitions' parameters and buffers here, to the CPU. Collective over the pipeline group.

        The model still runs in steps only, and the next step takes them apart again.
        """
        if not self.partitioned:
            return super().cpu()
        root = self.get_module()
        mine = [
            {name: tensor.detach().cpu() for name, tensor in named}
            for named in (self.local_named_parameters(), self.local_named_buffers())
        ]
        for parameters, buffers in state.live.objects.allgather(mine, Group.PP):
            for name, value in parameters.items():
                parameter = root.get_parameter(name)
                gradient, parameter.grad = parameter.grad, None
                parameter.data = value
                parameter.grad = None if gradient is None else gradient.cpu()
            for name, value in buffers.items():
                path, _, own = name.rpartition(".")
                root.get_submodule(path)._buffers[own] = value
        self._gathered = True
        return self

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        """What ``to``, ``cuda``, ``half`` and the like come to; a partitioned model stays where it is, as it is."""
        if not self.partitioned:
            return super()._apply(fn, *args, **kwargs)
        here = [*self.local_parameters(), *self.local_buffers()]
        for dtype, device in {(t.dtype, t.device) for t in here}:
            made = fn(torch.empty(0, dtype=dtype, device=device))
            if (made.dtype, made.device) != (dtype, device):
                raise RuntimeError(
                    f"the model is partitioned, with {dtype} on {device}, and cannot become {made.dtype} on "
                    f"{made.device}: convert it before its first step. model.cpu() brings all of it to the CPU"
                )
        for tensor in here:
            tensor.data = fn(tensor.data)
        return self

    # -- state ------------------------------------------------------------------------------------------------

    _pending: dict[str, Any] | None = None  # a partial dict that waits for the partition

    def local_state_dict(self) -> dict[str, Any]:
        """Parameters and buffers of this rank's partition, marked with ``_smp_is_partial``."""
        if self._pending is not None:
            return {**self._pending, PARTIAL_KEY: True}
        full = self.get_module().state_dict()
        mine = state.live.placement.rank_in(Group.PP, state.live.rank)
        local = {k: v for k, v in full.items() if not self.partitioned or self._owner_of(k) == mine}
        return {**local, PARTIAL_KEY: self.partitioned}

    def _owner_of(self, key: str) -> int:
        path = key.rpartition(".")[0]
        while path not in self._owner:  # custom state may lie deeper than the module that saves it
            path = path.rpartition(".")[0]
        return self._owner[path]

    def state_dict(  # type: ignore[override]
        self, *args: Any, gather_to_rank0: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """The whole model's, on the CPU. Collective over the pipeline group, and over nothing else.

        With ``gather_to_rank0`` the other ranks get an empty dict.
        """
        if not self.partitioned and self._pending is None:
            return dict(self.get_module().state_dict())
        local = {k: _cpu(v) for k, v in self.local_state_dict().items() if k != PARTIAL_KEY}
        members = state.live.placement.group(Group.PP, state.live.rank)
        merged = gather(local, {0} if gather_to_rank0 else members)
        return {key: merged[key] for key in self.get_module().state_dict() if key in merged}

    def load_state_dict(  # type: ignore[override]
        self,
        state_dict: Mapping[str, Any],
        strict: bool = True,
        assign: bool = False,
        same_partition_load: bool = False,
    ) -> Any:
        """Loads a full dict, or the partial one of this partition; only what is here is filled.

        A partial dict before the first step is loaded once the partition is known; it is collective over the
        pipeline group, and the parts are exchanged where the partition is not the saved one. With
        ``same_partition_load`` it is taken to be the same.

        Raises RuntimeError for missing keys and, with ``strict``, for unknown ones.
        """
        if assign:
            raise ValueError("assign=True would replace parameters that the optimizer holds: leave it out")
        items = {k: v for k, v in state_dict.items() if k != PARTIAL_KEY}
        partial = bool(state_dict.get(PARTIAL_KEY, False))
        if not self.partitioned and not partial:
            self._pending = None
            return self.get_module().load_state_dict(items, strict=strict)
        if not self.partitioned:
            shapes = {k: getattr(v, "shape", None) for k, v in items.items()}
            whole = dict(i for part in state.live.objects.allgather(shapes, Group.PP) for i in part.items())
            self._check_shapes(whole, strict)
            if self._pending is None:
                self.register_post_partition_hook(lambda *_: self._load_pending(strict, same_partition_load))
            self._pending = items
            return None
        mine = state.live.placement.rank_in(Group.PP, state.live.rank)
        known = self.get_module().state_dict()
        expected = [k for k in known if self._owner_of(k) == mine]
        if partial and not same_partition_load:
            items = regroup(items, expected)
        missing = [k for k in expected if k not in items]
        if strict and missing:
            raise RuntimeError(
                f"the state dict lacks {missing} of partition {mine}; strict=False loads the rest"
            )
        unknown = [k for k in items if k not in known]
        if strict and unknown:
            raise RuntimeError(
                f"the state dict has {unknown}, which the model lacks; strict=False passes them over"
            )
        local = {k: items[k] for k in expected if k in items}
        result = self.get_module().load_state_dict(local, strict=False)
        if state.optimizer is not None:
            state.optimizer.parameters_loaded()
        result.missing_keys[:] = missing  # not what other ranks hold
        result.unexpected_keys[:] = unknown
        return result

    def _load_pending(self, strict: bool, same_partition_load: bool) -> None:
        waiting, self._pending = self._pending, None
        if waiting is not None:  # a full dict may have come since
            self.load_state_dict(
                {**waiting, PARTIAL_KEY: True}, strict, same_partition_load=same_partition_load
            )

    def _check_shapes(self, shapes: dict[str, Any], strict: bool) -> None:
        """Says now, on every rank, what would fail in the first step."""
        known = self.get_module().state_dict()
        wrong = [
            f"{k} is {tuple(shapes[k])}, and the model's is {tuple(v.shape)}"
            for k, v in known.items()
            if isinstance(v, torch.Tensor) and shapes.get(k) is not None and shapes[k] != v.shape
        ]
        missing = [k for k in known if k not in shapes] if strict else []
        unknown = [k for k in shapes if k not in known] if strict else []
        if wrong or missing or unknown:
            raise RuntimeError(
                "the checkpoint does not fit the model"
                + (f"; other shapes: {wrong}" if wrong else "")
                + (f"; missing: {missing}" if missing else "")
                + (f"; unknown: {unknown}" if unknown else "")
            )


def _cpu(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, torch.Tensor) else value
