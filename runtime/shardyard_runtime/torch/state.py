"""What one rank knows of itself after ``smp.init``: one object, filled once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from shardyard_runtime.comm.torch_mpi import MpiTransport
from shardyard_runtime.comm.torch_objects import ObjectMessages
from shardyard_runtime.config.parameters import SmpConfig
from shardyard_runtime.config.placement import Group, Placement

if TYPE_CHECKING:
    from shardyard_runtime.torch.model import DistributedModel
    from shardyard_runtime.torch.optimizer import DistributedOptimizer
    from shardyard_runtime.torch.pipeline.engine import Engine
    from shardyard_runtime.torch.timeline.timeline import Timeline


class NotInitialized(RuntimeError):
    """A function of the API was called before ``smp.init()``."""


@dataclass
class Runtime:
    """The parts that ``smp.init`` makes."""

    cfg: SmpConfig
    placement: Placement
    rank: int
    local_rank: int
    local_size: int
    device: torch.device
    transport: MpiTransport
    objects: ObjectMessages
    engine: Engine
    process_groups: dict[Group, Any]
    reductions: (
        Any  # process group of this rank's replicas, where only gradients are reduced; None without replicas
    )
    timeline: Timeline | None = None  # where it is asked for


@dataclass
class ModuleManager:
    """Translators that the Hugging Face Trainer looks up; none is registered without tensor parallelism."""

    translate_functions: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass
class State:
    """``smp.state``: configuration, model and optimizer of this process."""

    runtime: Runtime | None = None
    model: DistributedModel | None = None
    optimizer: DistributedOptimizer | None = None
    module_manager: ModuleManager = field(default_factory=ModuleManager)

    @property
    def initialized(self) -> bool:
        return self.runtime is not None

    @property
    def live(self) -> Runtime:
        """The runtime; raises NotInitialized before ``smp.init()``."""
        if self.runtime is None:
            raise NotInitialized(
                "smp.init() has not been called in this process: call it before anything else of smp"
            )
        return self.runtime

    @property
    def cfg(self) -> SmpConfig:
        return self.live.cfg

    @property
    def param_index_to_name_tp_group(self) -> list[dict[int, str]]:
        """Index to parameter name, one dict a tensor-parallel rank."""
        if self.model is None:
            raise RuntimeError("the parameters have no numbers yet: make the smp.DistributedModel before")
        return [dict(enumerate(n for n, _ in self.model.get_module().named_parameters()))]

    @property
    def param_name_to_index_tp_group(self) -> list[dict[str, int]]:
        """Parameter name to index, one dict a tensor-parallel rank."""
        return [{name: index for index, name in self.param_index_to_name_tp_group[0].items()}]


state = State()
