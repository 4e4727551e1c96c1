"""``smp.DistributedModel``: the user's module, partitioned at the first step."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.data_parallel import replicas
from shardyard_runtime.torch.data_parallel.gradients import Reducer
from shardyard_runtime.torch.data_parallel.hooks import CommHook
from shardyard_runtime.torch.data_parallel.joining import joined
from shardyard_runtime.torch.data_parallel.launches import Launches
from shardyard_runtime.torch.delayed.creation import is_delayed, materialize
from shardyard_runtime.torch.model_state import ModelState
from shardyard_runtime.torch.partition.agree import agreed
from shardyard_runtime.torch.partition.decision import Decision
from shardyard_runtime.torch.partitioned_model import ReplicatedModule
from shardyard_runtime.torch.pipeline.intercept import OutsideStep, intercept
from shardyard_runtime.torch.pipeline.remote_tensor import current
from shardyard_runtime.torch.plain_degree import PlainDegree
from shardyard_runtime.torch.precision.model import LowPrecisionModule, low_dtype
from shardyard_runtime.torch.state import state
from shardyard_runtime.torch.tracing.run import Trial

log = logging.getLogger(__name__)


class DistributedModel(PlainDegree, ModelState):
    """Wraps the one model of a script. Calls, and :meth:`backward`, only inside ``smp.step``.

    Args:
        module: the model. Before the first step all its parameters are here; afterwards those that this rank's
            partition does not own have shape and dtype, but no storage of their own.
        trace_device: where a microbatch is traced for real, before the first step: "gpu" (the default), this rank's
            device, or "cpu". Nothing is computed where the model lets itself be traced by shapes alone.
        trace_execution_times: run the trace for real and weigh modules by seconds instead of operations counted.
        trace_memory_usage: count the tensors that autograd keeps as activations, instead of modules' outputs.
        overlapping_allreduce: reduce a bucket of gradients as soon as it is complete, while the backward goes on. When
            that is, is known from the last step of the same function (torch 2.1); without it, with a communication
            hook and in the first step, all are reduced at the end of the step.
        backward_passes_per_step: steps with a backward between two reductions of the gradients.
        average_grads_across_microbatches: divide gradients by the number of microbatches.
        bucket_cap_mb: size of a reduced bucket of gradients, in MiB.
        broadcast_buffers: with ``ddp`` every training step starts with the first replica's buffers on all of them.
        gradient_as_bucket_view: gradients lie in the buckets that are reduced. Without it the replicas of ``ddp`` keep
            buckets of their own, as large as the gradients.
    """

    def __init__(
        self,
        module: nn.Module,
        trace_device: str | None = None,
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
        if trace_device not in (None, "gpu", "cpu"):
            raise ValueError(f"trace_device is 'gpu' or 'cpu', not {trace_device!r}")
        self.trace_device = trace_device or cfg.trace_device
        self.trace_execution_times = trace_execution_times
        self.trace_memory_usage = trace_memory_usage
        dtype = low_dtype(cfg)
        inner = module if dtype is None else LowPrecisionModule(module, dtype)
        self.module = ReplicatedModule(inner) if cfg.ddp else inner
        launches = Launches(bucket_cap_mb * 2**20, gradient_as_bucket_view)
        self.reducer = Reducer(self, launches, backward_passes_per_step, overlapping_allreduce)
        self._broadcast_buffers = broadcast_buffers
        self._scale = 1.0 / cfg.microbatches if average_grads_across_microbatches else 1.0
        self._decision: Decision | None = None
        self._post_partition: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._post_step: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        state.model = self
        if cfg.delayed_parameter_initialization and not is_delayed(module):
            log.warning(
                "delayed_parameter_initialization is set, but the model was created at once: create it inside "
                "smp.model_creation() or smp.delay_param_initialization()"
            )

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
        average = 1.0 if self.reducer.hooked else self._scale
        scale = average * (state.optimizer.loss_scale if state.optimizer is not None else 1.0)
        # Below torch functions: what autograd asks of remote tensors needs no bytes.
        with torch.autograd.set_multithreading_enabled(False), torch._C.DisableTorchFunctionSubclass():
            torch.autograd.backward(outputs, [None if g is None else g * scale for g in scaled])

    # -- partitioning -----------------------------------------------------------------------------------------

    def begin_step(self, function: object, trial: Trial | None = None) -> None:
        """Called by ``smp.step`` on every rank; the first call partitions, with a trace of ``trial``."""
        if not self.partitioned:
            self._partition(trial)
        else:
            if self._gathered:
                self._settle()
            self._run_once(self._post_partition)
            if torch.is_grad_enabled():
                self.reducer.begin(buffers=self._broadcast_buffers and self.training)
        if torch.is_grad_enabled():
            self.reducer.watch(function)

    def _partition(self, trial: Trial | None) -> None:
        runtime, root = state.live, self.get_module()
        self._decision = agreed(self, trial)
        self._owner = self._decision.owner
        named = list(root.named_modules(remove_duplicate=False))
        mine = runtime.placement.rank_in(Group.PP, runtime.rank)
        cuda = runtime.device.type == "cuda"
        memory = torch.cuda.get_device_properties(runtime.device).total_memory if cuda else float("inf")
        runtime.engine.own(dict(named), self._owner, self._decision.rank_costs(memory))
        for path, module in root.named_modules():
            intercept(runtime.engine, module, path, self._owner[path], self._owner[path] == mine)
        self.partitioned = True
        materialize(root, self.local_parameters())
        self._settle()
        replicas.synchronize(self)
        if runtime.rank == 0 and self._decision.partitions > 1:
            print(self.partition_table(), file=sys.stderr, flush=True)
        if state.optimizer is not None:
            state.optimizer.after_partition()
        self.load_pending()
        self._run_once(self._post_partition)
        if self._broadcast_buffers:
            replicas.broadcast_buffers(self)  # a hook may have loaded those that each replica saved

    def end_step(self) -> None:
        self._run_once(self._post_step)

    def _run_once(self, hooks: OrderedDict[int, Callable[..., Any]]) -> None:
        while hooks:
            hooks.popitem(last=False)[1](self, state.optimizer)

    def partition_table(self) -> str:
        """One line a partition: modules, parameters, cost and share. Raises RuntimeError before the first step."""
        if self._decision is None:
            raise RuntimeError("the model is partitioned at the first step: there is no table yet")
        return self._decision.table()

    def register_post_partition_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(model, optimizer)``, once, after partitioning and before the next forward."""
        handle = RemovableHandle(self._post_partition)
        self._post_partition[handle.id] = hook
        return handle

    def register_post_step_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(model, optimizer)``, once, after the next step."""
        handle = RemovableHandle(self._post_step)
        self._post_step[handle.id] = hook
        return handle

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
        trained longest, and the state of its ``smp.DistributedOptimizer``. With ``throw_on_early_termination`` all raise RuntimeError as soon
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
        tensor that becomes its gradients. It gets the sums over microbatches, and averages over them, too. The hooks of
        ``torch.distributed.algorithms.ddp_comm_hooks`` fit for losses that are sums, with ``smp.get_dp_process_group()`` as
        their process group. Once a model; it is called with a single replica too.

        Raises RuntimeError without ``ddp`` and at a second call, TypeError for what is not a function.
        """
        self.reducer.register(state, callable)
