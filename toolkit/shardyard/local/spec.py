"""What one local job is, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

TIMED_OUT = 124
INTERRUPTED = 130
CHECKPOINTS = PurePosixPath("/opt/ml/checkpoints")  # where SageMaker mounts them when the job does not say


@dataclass(frozen=True)
class InstanceGroup:
    """Hosts of one instance type."""

    name: str
    instance_type: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class TimeLimit:
    """Seconds that a job may take, the setting that says so, and the seconds from SIGTERM to SIGKILL."""

    seconds: float
    setting: Literal["timeout", "max_run"]
    grace_s: float


@dataclass(frozen=True)
class Container:
    """What the containers of a job get beside the contract. ``shm_size`` is in bytes, None: the engine decides;
    a ulimit of -1 is none."""

    shm_size: int | None = None
    ulimits: Mapping[str, int] = field(default_factory=dict)
    ipc: str = "private"


@dataclass(frozen=True)
class JobSpec:
    """Everything a local job needs, all paths absolute. ``gpus`` are the ids of each host's devices; () keeps
    a host from those that are there, and no entry says that there are none."""

    name: str
    program: str
    source_dir: Path
    groups: tuple[InstanceGroup, ...]
    hyperparameters: Mapping[str, Any]
    inputs: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    limit: TimeLimit | None = None
    checkpoints: Path | None = None
    checkpoint_path: PurePosixPath = CHECKPOINTS
    gpus: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    container: Container = Container()
    needs_mpirun: bool = False

    @property
    def host_names(self) -> tuple[str, ...]:
        return tuple(host for group in self.groups for host in group.hosts)

    def group_of(self, host: str) -> InstanceGroup:
        return next(group for group in self.groups if host in group.hosts)


@dataclass
class JobResult:
    """Exit code of every host; `failures` holds the text of each failure file. ``past`` is the limit that ended
    the job, None where none did."""

    exit_codes: dict[str, int]
    failures: dict[str, str] = field(default_factory=dict)
    past: TimeLimit | None = None
    seconds: float = 0.0
    output: str | None = None
    first_failed: str | None = None
    blamed: str | None = None

    @property
    def timed_out(self) -> bool:
        return self.past is not None

    @property
    def failed_host(self) -> str | None:
        """The host that the failure is of: named by the verdict, else the first that ended with a failure.
        None for a job that ran out of time: no host failed."""
        if self.timed_out or not any(self.exit_codes.values()):
            return None
        return self.blamed or self.first_failed or next(h for h, code in self.exit_codes.items() if code)

    @property
    def job_exit_code(self) -> int:
        if self.timed_out:
            return TIMED_OUT
        host = self.failed_host
        return (self.exit_codes.get(host) or next(filter(None, self.exit_codes.values()))) if host else 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "job_exit_code": self.job_exit_code,
            "failed_host": self.failed_host,
            "timed_out": self.timed_out,
            "time_limit": self.past.setting if self.past else None,
            "exit_codes": self.exit_codes,
            "failures": self.failures,
            "output": self.output,
            "seconds": round(self.seconds, 3),
        }
