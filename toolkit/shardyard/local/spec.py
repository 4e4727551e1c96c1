"""What one local job is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMED_OUT = 124
INTERRUPTED = 130


@dataclass(frozen=True)
class JobSpec:
    """Everything a local job needs, all paths absolute."""

    name: str
    program: str
    source_dir: Path
    hosts: int
    processes_per_host: int
    instance_type: str
    hyperparameters: dict[str, Any]
    mpi_enabled: bool
    custom_mpi_options: str
    smdistributed: bool = False
    mp_parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Path] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    region: str | None = None
    timeout: float | None = None
    framework: str = "pytorch"

    @property
    def host_names(self) -> tuple[str, ...]:
        return tuple(f"algo-{i}" for i in range(1, self.hosts + 1))


@dataclass
class JobResult:
    """Exit code of every host; `failures` holds the text of each failure file."""

    exit_codes: dict[str, int]
    failures: dict[str, str] = field(default_factory=dict)
    timed_out: bool = False
    seconds: float = 0.0
    output: str | None = None
    first_failed: str | None = None
    blamed: str | None = None

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
            "exit_codes": self.exit_codes,
            "failures": self.failures,
            "output": self.output,
            "seconds": round(self.seconds, 3),
        }
