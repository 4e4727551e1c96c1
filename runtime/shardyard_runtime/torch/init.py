"""``smp.init``: parameters, placement, device, process groups, transport."""

from __future__ import annotations

import atexit
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from shardyard_runtime.comm.torch_links import Links, backend_for
from shardyard_runtime.comm.torch_mpi import MpiTransport, bound
from shardyard_runtime.comm.torch_objects import ObjectMessages
from shardyard_runtime.config.parameter_values import ParameterFinding
from shardyard_runtime.config.parameters import (
    ParameterError,
    SmpConfig,
    merged_with_environment,
    parse,
    placement_for,
)
from shardyard_runtime.config.placement import Group, Placement
from shardyard_runtime.torch.pipeline.engine import Engine
from shardyard_runtime.torch.state import Runtime, state
from shardyard_runtime.torch.timeline.run import Settings
from shardyard_runtime.torch.timeline.switch import steps_to_keep
from shardyard_runtime.torch.timeline.timeline import Timeline


def init(config: Mapping[str, Any] | None = None) -> None:
    """Initializes this rank. SM_HP_MP_PARAMETERS wins over ``config``; a second call changes nothing.

    Raises ParameterError with every finding, ValueError where the degrees do not fit the number of ranks.
    """
    if state.initialized:
        return
    cfg = parse(merged_with_environment(config or {}))
    _check_release(cfg)
    from mpi4py import MPI

    world = MPI.COMM_WORLD.Dup()
    placement = placement_for(cfg, world.Get_size())
    node = world.Split_type(MPI.COMM_TYPE_SHARED)
    local_rank = int(os.environ.get("SHARDYARD_LOCAL_RANK", node.Get_rank()))
    device = _pin(local_rank, node.Get_size())
    store = _store(world, node.Get_size(), cfg.ddp_port)
    process_groups = _process_groups(store, world, placement, device, cfg.ddp_dist_backend)
    keep = world.bcast(steps_to_keep())  # what rank 0 was told holds for all
    transport = MpiTransport(world, device, _links(store, world, device))
    rank = transport.rank
    peers, replica = placement.group(Group.PP, rank), placement.rank_in(Group.DP, rank)
    one_order = placement.group(Group.DP, rank) if cfg.deterministic_server and cfg.ddp else ()
    horizon = cfg.activation_loading_horizon if cfg.offload_activations else None
    settings = Settings(cfg.pipeline, cfg.microbatches, cfg.active_microbatches)
    timeline = Timeline(transport, peers, replica, device, keep, settings) if keep else None
    recorder = timeline.recorder if timeline else None
    engine = Engine(
        transport, peers, cfg.pipeline, cfg.active_microbatches, device, replica, one_order, horizon, recorder
    )
    state.runtime = Runtime(
        cfg=cfg,
        placement=placement,
        rank=rank,
        local_rank=local_rank,
        local_size=node.Get_size(),
        device=device,
        transport=transport,
        objects=ObjectMessages(transport, placement),
        engine=engine,
        process_groups=process_groups,
        timeline=timeline,
        reductions=_reductions(placement, rank) if cfg.ddp else None,
    )
    atexit.register(transport.close)
    if timeline is not None:
        timeline.begin(state.live.objects)
        atexit.register(timeline.finish)


def _check_release(cfg: SmpConfig) -> None:
    """Raises ParameterError for what this release of torch cannot do."""
    if cfg.offload_activations and torch.__version__ < "2.1":
        text = f"true needs torch 2.1 or newer, and this is {torch.__version__}"
        advice = "remove it, or use a base image with a newer torch"
        raise ParameterError([ParameterFinding("error", "offload_activations", text, advice)])


def _pin(local_rank: int, local_size: int) -> torch.device:
    """Binds this process to its device; without GPUs, makes the calls that scripts make for GPUs harmless."""
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)
    torch.cuda.set_device = lambda device: None  # type: ignore[assignment]
    torch.cuda.synchronize = lambda device=None: None  # type: ignore[assignment]
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // local_size))
    return torch.device("cpu")


def _store(world: Any, local_size: int, port: int | None) -> dist.TCPStore:
    """Where ranks meet, on the first one; its address travels over MPI, so nothing needs to be agreed beforehand."""
    rank, size = world.Get_rank(), world.Get_size()
    address = _address() if size > local_size else "127.0.0.1"
    if size == local_size:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = dist.TCPStore(address, port or 0, is_master=True, wait_for_workers=False) if rank == 0 else None
    host, store_port = world.bcast((address, store.port) if store else None)
    return store or dist.TCPStore(host, store_port, is_master=False, timeout=timedelta(seconds=bound()))


def _process_groups(
    store: dist.TCPStore, world: Any, placement: Placement, device: torch.device, asked: str
) -> dict[Group, Any]:
    """Initializes torch.distributed over all ranks, and a process group for each group of this rank."""
    rank, size, timeout = world.Get_rank(), world.Get_size(), timedelta(seconds=bound())
    if not dist.is_initialized():
        on_gpus = device.type == "cuda" and asked != "gloo"
        backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
    groups: dict[Group, Any] = {Group.WORLD: dist.group.WORLD}
    made: dict[tuple[int, ...], Any] = {tuple(range(size)): dist.group.WORLD}
    for kind in (Group.DP, Group.MP, Group.PP, Group.RDP, Group.TP):
        for members in placement.groups(kind):
            if members not in made:
                made[members] = dist.new_group(list(members), timeout=timeout)
        groups[kind] = made[placement.group(kind, rank)]
    return groups


def _reductions(placement: Placement, rank: int) -> Any:
    """One more process group of the replicas: what is launched during a backward meets no other collective there."""
    timeout = timedelta(seconds=bound())
    made = {
        members: dist.new_group(list(members), timeout=timeout)
        for members in placement.groups(Group.DP)
        if len(members) > 1
    }
    return made.get(placement.group(Group.DP, rank))


def _links(
    store: dist.TCPStore, world: Any, device: torch.device
) -> Callable[[Callable[[], None]], Links | None]:
    """Makes links to the ranks on other devices than this one; NCCL refuses two ranks on one GPU."""
    backend = backend_for(device)
    where = (socket.gethostname(), str(device)) if device.type == "cuda" else world.Get_rank()
    everyone = world.allgather((where, backend))

    def make(wake: Callable[[], None]) -> Links | None:
        if backend is None:
            return None
        rank = world.Get_rank()
        others = {r for r, (at, kind) in enumerate(everyone) if at != where and kind == backend}
        address = (store.host, store.port)
        return Links(backend, address, rank, frozenset(others), device, bound(), wake)

    return make


def _address() -> str:
    """An IPv4 address of this host that the other hosts reach: of SageMaker's interface where it is named."""
    interface = os.environ.get("SM_NETWORK_INTERFACE_NAME")
    if interface:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                packed = struct.pack("256s", interface[:15].encode())
                return socket.inet_ntoa(fcntl.ioctl(probe.fileno(), 0x8915, packed)[20:24])  # SIOCGIFADDR
            except OSError:
                pass  # no such interface here: the host's name has to do
    return socket.gethostbyname(socket.gethostname())
