"""One process a device through torchrun, on every host of the distribution."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Mapping

from .cluster import read_cluster
from .entry import EntryPoint, Kind
from .errors import LaunchError
from .groups import distribution_hosts
from .host import Host
from .outcome import Outcome
from .plain import SCRIPT, follow, script_environment

log = logging.getLogger(__name__)

PORT = 7777


def run_torchrun(host: Host, entry: EntryPoint) -> Outcome:
    if entry.kind is not Kind.PROGRAM:
        raise LaunchError(
            f"Entry point {entry.program!r} is {entry.kind.value}, and torchrun starts Python programs only. "
            "Name a .py file, or turn torch_distributed off in the estimator's distribution."
        )
    if importlib.util.find_spec("torch") is None:
        raise LaunchError("The job asks for torchrun, and this image has no torch. Take a PyTorch image.", 3)
    plan = host.write_plan(entry, local=False)
    variables = script_environment(host, plan.environment)
    variables.setdefault("NCCL_PROTO", "simple")
    command = torchrun_command(
        distribution_hosts(host.config), host.name, read_cluster(host.config).processes_per_host, os.environ
    )
    return follow(host, [*command, entry.program], variables, plan.code_dir, entry)


def torchrun_command(hosts: list[str], current: str, processes: int, environ: Mapping[str, str]) -> list[str]:
    prefix = ["neuron_parallel_compile"] if environ.get("RUN_NEURON_PARALLEL_COMPILE") == "1" else []
    command = [*prefix, sys.executable, "-m", "torch.distributed.run"]
    command += ["--nnodes", str(len(hosts)), "--nproc_per_node", str(processes)]
    if len(hosts) > 1:
        command += ["--master_addr", hosts[0], "--master_port", str(PORT)]
        command += ["--node_rank", str(hosts.index(current))]
    else:
        command.append("--standalone")  # a free port: two jobs on one machine do not meet
    return [*command, "-m", SCRIPT]
