"""Who takes part in the distributed run, and how many processes each host carries."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from .config import JobConfig
from .errors import LaunchError
from .groups import distribution_hosts


@dataclass(frozen=True)
class Cluster:
    hosts: tuple[str, ...]  # in file order; the first one runs mpirun
    processes_per_host: int

    @property
    def head(self) -> str:
        return self.hosts[0]

    @property
    def size(self) -> int:
        return len(self.hosts) * self.processes_per_host

    def host_of(self, rank: int) -> str:
        return self.hosts[min(rank // self.processes_per_host, len(self.hosts) - 1)]


def read_cluster(config: JobConfig) -> Cluster:
    count = config.hyperparameters.get("sagemaker_mpi_num_of_processes_per_host")
    if count is None:
        count = gpu_count() or 1
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise LaunchError(
            f"sagemaker_mpi_num_of_processes_per_host is {count!r}, but every host needs "
            "at least one process. Set processes_per_host to a whole number of 1 or more."
        )
    return Cluster(tuple(distribution_hosts(config)), count)


@cache
def gpu_count() -> int:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    try:
        listed = subprocess.run(
            [tool, "--list-gpus"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
