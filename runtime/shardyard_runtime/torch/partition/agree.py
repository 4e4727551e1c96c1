"""One rank decides, all ranks that train the model together take its decision."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.delayed.creation import is_delayed
from shardyard_runtime.torch.partition import auto, decision, manual
from shardyard_runtime.torch.partition.auto import Assignment
from shardyard_runtime.torch.partition.cost import Cost, Weighing, costs, states_of, weighed
from shardyard_runtime.torch.partition.decision import Decision
from shardyard_runtime.torch.partition.tree import sequence
from shardyard_runtime.torch.pipeline.errors import PeerFailed
from shardyard_runtime.torch.state import state
from shardyard_runtime.torch.tracing.record import Trace
from shardyard_runtime.torch.tracing.run import TraceFailed, Trial, trace

if TYPE_CHECKING:
    from shardyard_runtime.torch.model import DistributedModel

log = logging.getLogger(__name__)
_KEY = "the decision on the partition"


def agreed(model: DistributedModel, trial: Trial | None) -> Decision:
    """The decision of the first rank of this model-parallel group, with ``ddp`` of all of them.

    Collective over those ranks. Raises PeerFailed where the deciding rank failed, there what it failed of.
    """
    live = state.live
    members = live.placement.group(Group.WORLD if state.cfg.ddp else Group.MP, live.rank)
    if live.rank != members[0]:
        if live.engine.leads:
            _trace(model, trial)  # a forward may hold a collective of the replicas, which all have to enter
        # A key of its own: objects that the script sent earlier stay in their order.
        heard: Decision | str = live.transport.receive(members[0], _KEY)
        if isinstance(heard, str):
            raise PeerFailed(f"rank {members[0]} could not partition the model: {heard}")
        return heard
    try:
        found = _decide(model, trial)
    except Exception as error:
        for peer in members[1:]:
            live.transport.send(peer, _KEY, f"{type(error).__name__}: {error}")
        raise
    for peer in members[1:]:
        live.transport.send(peer, _KEY, found)
    return found


def _decide(model: DistributedModel, trial: Trial | None) -> Decision:
    cfg, root, partitions = state.cfg, model.get_module(), state.live.placement.pp_size
    if cfg.load_partition:
        assert cfg.partition_file is not None  # the parameters were checked
        return decision.load(cfg.partition_file, root, partitions)
    in_flight = min(cfg.microbatches, cfg.active_microbatches)
    weighing = Weighing(cfg.memory_weight, in_flight, states_of(state.optimizer))
    if cfg.auto_partition:
        known, by = _trace(model, trial)
        found = auto.assign(root, partitions, known, weighing, auto.segments_of(cfg.pipeline))
    else:
        found, by = _manual(model, partitions, weighing), "smp.partition and smp.set_partition"
    made = decision.decided(root, partitions, found, by)
    if cfg.partition_file:
        made.save(cfg.partition_file)
    return made


def _trace(model: DistributedModel, trial: Trial | None) -> tuple[Trace | None, str]:
    """The trace where it is wanted and works, and how the decision then comes about."""
    cfg = state.cfg
    if trial is None or not cfg.auto_partition or cfg.load_partition or state.live.placement.pp_size == 1:
        return None, "parameter counts"
    if cfg.skip_tracing:
        return None, "parameter counts (skip_tracing)"
    # For values that a parameter does not have yet there is NaN on the CPU; elsewhere it would be copied whole.
    on_device = model.trace_device == "gpu" and not is_delayed(model)
    device = state.live.device if on_device else torch.device("cpu")
    try:
        found = trace(
            model, model.get_module(), trial, device, model.trace_execution_times, model.trace_memory_usage
        )
    except TraceFailed as error:
        log.warning("the model could not be traced and is partitioned by parameter counts: %s", error)
        return None, "parameter counts"
    time = "execution times" if found.timed else "operations counted"
    return found, f"a trace on {found.kind}, {time}"


def _manual(model: DistributedModel, partitions: int, weighing: Weighing) -> Assignment:
    root = model.get_module()
    by_path = manual.assign(root, partitions, state.cfg.default_partition)
    by_instance: dict[int, int] = {}  # one that stands in several places is where it stands first
    paths = root.named_modules(remove_duplicate=False)
    owner = {path: by_instance.setdefault(id(module), by_path[path]) for path, module in paths}
    nodes = sequence(root).nodes
    found = costs(nodes, None, weighing.states)
    load, spent = [0.0] * partitions, [Cost()] * partitions
    for node, cost, weight in zip(nodes, found, weighed(found, weighing), strict=True):
        load[owner[node.path]] += weight
        spent[owner[node.path]] += cost
    return Assignment(owner, load, spent)
