"""The kinds of hand-off code, by the name that ``--sdk`` takes."""

from __future__ import annotations

from typing import Any, Protocol

from shardyard.errors import ProjectError
from shardyard.project.model import Project
from shardyard.sagemaker import boto3_code, estimator

SDKS = ("v2", "v3", "boto3")


class Writer(Protocol):
    """A module that writes one kind."""

    def code(self, project: Project, image_uri: str) -> str: ...

    def document(self, project: Project, image_uri: str) -> dict[str, Any]: ...


def writer(sdk: str) -> Writer:
    """Raises for what is not built yet, and for what never was."""
    if sdk not in SDKS:
        raise ProjectError(f"--sdk {sdk!r} is unknown; use one of: {', '.join(SDKS)}")
    if sdk == "v3":
        raise ProjectError(f"--sdk {sdk!r} is not built yet. Type: shardyard estimator --sdk v2")
    return boto3_code if sdk == "boto3" else estimator
