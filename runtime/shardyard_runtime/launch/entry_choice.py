"""Which program the job names, in which code."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from .code import Code, choose_code
from .config import JobConfig
from .entry import EntryPoint, Kind
from .errors import LaunchError

log = logging.getLogger(__name__)


def resolve_function(function: str, config: JobConfig, environ: Mapping[str, str] = os.environ) -> EntryPoint:
    """A function of the image finds its own program; what is known of one is passed on."""
    code = choose_code(config, environ)
    program = environ.get("SAGEMAKER_PROGRAM") or config.hyperparameters.get("sagemaker_program") or ""
    return EntryPoint(code.folder.resolve(), str(program), code.module_dir, function)


def resolve_entry_point(config: JobConfig, environ: Mapping[str, str] = os.environ) -> EntryPoint:
    from_hyperparameter = config.hyperparameters.get("sagemaker_program")
    program = environ.get("SAGEMAKER_PROGRAM") or from_hyperparameter
    if not program:
        raise LaunchError(
            "No entry point: neither the environment variable SAGEMAKER_PROGRAM nor the hyperparameter "
            "'sagemaker_program' is set. Set entry_point in shardyard.toml and build again, or give the "
            "estimator an entry_point."
        )
    code = choose_code(config, environ)
    entry = _entry(code, str(program))
    if not _exists(entry) and from_hyperparameter and _exists(_entry(code, str(from_hyperparameter))):
        # The image's variable names the baked program; the submitted code has the job's own.
        log.info("program: %s; %r of the environment is not in %s", from_hyperparameter, program, code.folder)
        entry = _entry(code, str(from_hyperparameter))
    if not _exists(entry):
        raise LaunchError(
            f"Entry point {entry.program!r} is not in {str(code.folder)!r} (there: {_listing(code.folder)}). The "
            "name must be relative to the code folder. Correct entry_point or source_dir in shardyard.toml and "
            "build again."
        )
    return entry


def _entry(code: Code, program: str) -> EntryPoint:
    return EntryPoint(code.folder.resolve(), program, code.module_dir)


def _exists(entry: EntryPoint) -> bool:
    """A package's module may come into being only when it is installed."""
    return entry.kind is Kind.PACKAGE or (entry.code_dir / entry.program).is_file()


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder"
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "") if names else "nothing"
