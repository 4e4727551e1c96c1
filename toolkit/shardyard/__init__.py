"""Builds, ships and runs model-parallel training containers.

Every command is a function here with the same name and the same options: ``shardyard.check("my-project")``.
They load on first use, so that importing the package stays quick.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from shardyard.errors import JobError, MissingError, ProjectError, RemoteError, ShardyardError

__version__ = "0.1.0"

_COMMANDS = (
    "init",
    "images",
    "check",
    "plan",
    "render",
    "build",
    "push",
    "build_and_push",
    "layers",
    "sbom",
    "rebase",
    "run",
    "report",
    "estimator",
    "launch",
    "doctor",
)

__all__ = ["JobError", "MissingError", "ProjectError", "RemoteError", "ShardyardError", "load", *_COMMANDS]


def __getattr__(name: str) -> Any:
    if name == "load":
        value: Any = importlib.import_module("shardyard.project.load").load
    elif name in _COMMANDS:
        value = getattr(importlib.import_module(f"shardyard.api.{name}"), name)
    else:
        raise AttributeError(f"module 'shardyard' has no attribute {name!r}")
    globals()[name] = value
    return value


class _Command(ModuleType):
    """A subpackage that has a command's name (``shardyard.plan``) can be called as that command."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(f"shardyard.api.{name}"), name)(*args, **options)


class _Package(ModuleType):
    """Importing such a subpackage would hide the function: it becomes callable in the same moment."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _COMMANDS and type(value) is ModuleType:
            value.__class__ = _Command
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
