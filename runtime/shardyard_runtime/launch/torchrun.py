"""One process a device through torchrun, on every host of the distribution."""

from __future__ import annotations

import importlib.util
import os
from typing import Protocol

from .entry import EntryPoint, Kind
from .errors import LaunchError
from .host import Host
from .outcome import Outcome
from .plain import follow
from .torchrun_job import TorchrunJob, make_job, torchrun_command


class Part(Protocol):
    """One host of several."""

    def refuse(self, problem: LaunchError) -> None: ...
    def run(self, job: TorchrunJob) -> Outcome: ...


def choose_part(host: Host) -> Part | None:
    """None for a host alone. From its making on it looks for the others, while the code is being prepared."""
    if len(host.cluster.hosts) == 1:
        return None
    from .meeting import choose_meeting  # a host alone starts sooner without these
    from .torchrun_head import TorchrunHead
    from .torchrun_member import TorchrunMember

    meeting = choose_meeting(host.cluster.head)
    return TorchrunHead(host, meeting) if host.name == host.cluster.head else TorchrunMember(host, meeting)


def run_torchrun(host: Host, entry: EntryPoint, part: Part | None) -> Outcome:
    job = make_job(host, entry, local="SHARDYARD_LOCAL_HOSTS" in os.environ)
    if part is not None:
        return part.run(job)
    command = torchrun_command([host.name], host.name, host.cluster.processes_per_host, os.environ)
    return follow(host, [*command, entry.program], job.variables, job.code_dir, entry)


def check(entry: EntryPoint) -> None:
    if entry.kind is not Kind.PROGRAM:
        raise LaunchError(
            f"Entry point {entry.program!r} is {entry.kind.value}, and torchrun starts Python programs only. "
            "Name a .py file, or turn torch_distributed off in the estimator's distribution."
        )
    if importlib.util.find_spec("torch") is None:
        raise LaunchError("The job asks for torchrun, and this image has no torch. Take a PyTorch image.", 3)
