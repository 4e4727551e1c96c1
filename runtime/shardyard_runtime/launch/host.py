"""One host's part of the job: its configuration, its private folder, and what its ranks will be told."""

from __future__ import annotations

import os
import queue
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .arguments import to_arguments
from .cluster import Cluster
from .config import JobConfig
from .entry import EntryPoint
from .environment import training_environment
from .mpirun import existing_interface
from .rank_plan import RankPlan

Event = tuple[str, str, Any]  # what happened, on which host, with what

DEFAULT_HOST_TIMEOUT = 60.0


@dataclass
class Host:
    config: JobConfig
    cluster: Cluster
    run_dir: Path
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)

    @property
    def name(self) -> str:
        return self.config.current_host

    @property
    def interface(self) -> str | None:
        return existing_interface(self.config.interface)

    def write_plan(
        self, entry: EntryPoint, *, local: bool, environ: Mapping[str, str] = os.environ
    ) -> RankPlan:
        arguments = to_arguments(self.config.user_hyperparameters)
        variables = {**environ, **training_environment(self.config, entry, environ)}
        if self.interface and not local:
            variables.setdefault("NCCL_SOCKET_IFNAME", self.interface)
        per_host = self.cluster.processes_per_host
        plan = RankPlan(
            host=self.name,
            code_dir=str(entry.code_dir),
            program=entry.program,
            command=[] if entry.is_python else entry.command(arguments),
            arguments=arguments,
            processes_per_host=per_host,
            ranks_on_machine=self.cluster.size if local else per_host,
            environment=variables,
        )
        plan.save(self.run_dir)
        return plan


def host_timeout(environ: Mapping[str, str] = os.environ) -> float:
    try:
        return float(environ.get("SHARDYARD_HOST_TIMEOUT") or DEFAULT_HOST_TIMEOUT)
    except ValueError:
        return DEFAULT_HOST_TIMEOUT
