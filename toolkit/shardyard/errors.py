"""What went wrong, and the exit code that says so (docs/design.md, "What the user types")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shardyard.project.findings import Finding


class ShardyardError(Exception):
    """An error to show to the user as it stands: what is wrong, why, and the next thing to type."""

    exit_code = 1

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if exit_code is not None:
            self.exit_code = exit_code


class JobError(ShardyardError):
    """The job or the build failed; ``job_exit_code`` is the container's own exit code."""

    exit_code = 1

    def __init__(self, message: str, *, job_exit_code: int | None = None) -> None:
        super().__init__(message)
        self.job_exit_code = job_exit_code


class ProjectError(ShardyardError):
    """The project or the command line is wrong; carries every finding, not only the first."""

    exit_code = 2

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        self.findings = list(findings)
        super().__init__("\n".join([message, *(str(finding) for finding in self.findings)]))


class MissingError(ShardyardError):
    """Something is missing on this machine: an engine, credentials, disk."""

    exit_code = 3


class RemoteError(ShardyardError):
    """The other side refused: AWS, a registry. ``code`` is AWS's own name for the error, "" where there is none."""

    exit_code = 4

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code
