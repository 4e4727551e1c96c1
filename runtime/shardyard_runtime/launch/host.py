"""One host's part of the job: its configuration, its private folder, and what its ranks will be told."""

from __future__ import annotations

import os
import queue
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .arguments import to_arguments
from .cluster import Cluster, gpu_count
from .command import start_command
from .config import JobConfig
from .devices import fabric_variables
from .entry import EntryPoint
from .environment import training_environment
from .rank_plan import RankPlan

Event = tuple[str, str, Any]  # what happened, on which host, with what
MASTER_PORT = "7777"  # as the platform's own containers set it, for scripts that open a group of their own


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
        """Where the platform names one that this container has not, libraries do better without it."""
        name = self.config.interface
        return name if name in {known for _, known in socket.if_nameindex()} else None

    def write_plan(
        self, entry: EntryPoint, *, local: bool, environ: Mapping[str, str] = os.environ
    ) -> RankPlan:
        arguments = to_arguments(self.config.user_hyperparameters)
        variables = {**environ, **training_environment(self.config, entry, environ)}
        if not local:
            for name, value in self._network_variables().items():
                variables.setdefault(name, value)
        per_host = self.cluster.processes_per_host
        plan = RankPlan(
            host=self.name,
            code_dir=str(entry.code_dir),
            program=entry.program,
            command=[] if entry.is_python else start_command(entry, arguments),
            arguments=arguments,
            processes_per_host=per_host,
            ranks_on_machine=self.cluster.size if local else per_host,
            environment=variables,
        )
        plan.save(self.run_dir)
        return plan

    def _network_variables(self) -> dict[str, str]:
        variables = {"MASTER_ADDR": self.cluster.head, "MASTER_PORT": MASTER_PORT}
        variables |= fabric_variables(str(self.config.resource["current_instance_type"]))
        if self.interface:
            variables["NCCL_SOCKET_IFNAME"] = self.interface
        if gpu_count():
            variables["NCCL_DEBUG"] = "WARN"
        return variables
