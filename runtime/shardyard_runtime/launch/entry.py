"""Which program runs, from which folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .config import JobConfig
from .errors import LaunchError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EntryPoint:
    code_dir: Path
    program: str

    @property
    def is_python(self) -> bool:
        return self.program.endswith(".py")

    @property
    def module_name(self) -> str:
        return self.program[:-3] if self.is_python else self.program

    def command(self, arguments: list[str]) -> list[str]:
        """How to start a program that is not Python; a shell script needs no executable bit."""
        path = str(self.code_dir / self.program)
        if self.program.endswith(".sh") and not os.access(path, os.X_OK):
            return ["/bin/sh", path, *arguments]
        return [path, *arguments]


def resolve_entry_point(config: JobConfig, environ: Mapping[str, str] = os.environ) -> EntryPoint:
    program = environ.get("SAGEMAKER_PROGRAM") or config.hyperparameters.get("sagemaker_program")
    if not program:
        raise LaunchError(
            "No entry point: neither the environment variable SAGEMAKER_PROGRAM nor the hyperparameter "
            "'sagemaker_program' is set. Set entry_point in shardyard.toml and build again, or give the "
            "estimator an entry_point."
        )
    code_dir = _code_dir(config, environ)
    if not (code_dir / str(program)).is_file():
        raise LaunchError(
            f"Entry point {program!r} is not in {str(code_dir)!r} (there: {_listing(code_dir)}). The name "
            "must be relative to the code folder. Correct entry_point or source_dir in shardyard.toml and "
            "build again."
        )
    return EntryPoint(code_dir.resolve(), str(program))


def _code_dir(config: JobConfig, environ: Mapping[str, str]) -> Path:
    baked = config.base / "code"
    from_environ = environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    if from_environ and Path(from_environ).is_dir():
        return Path(from_environ)
    submitted = str(config.hyperparameters.get("sagemaker_submit_directory") or "")
    submitted = submitted.removeprefix("file://")
    if submitted and Path(submitted).is_dir():
        return Path(submitted)
    has_code = baked.is_dir() and any(baked.iterdir())
    if submitted and has_code:
        log.warning("code of the image in %s runs; the submitted %r is not used", baked, submitted)
    elif submitted:
        raise LaunchError(
            f"The code was submitted as {submitted!r}, and fetching submitted code is not built yet. "
            "Bake the code into the image: set source_dir in shardyard.toml and run "
            "`shardyard build-and-push`."
        )
    return baked


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder"
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "") if names else "nothing"
