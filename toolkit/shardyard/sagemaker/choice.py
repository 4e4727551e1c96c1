"""The kinds of hand-off code, by the name that ``--sdk`` takes."""

from __future__ import annotations

from typing import Any, Protocol

from shardyard.errors import ProjectError
from shardyard.project.model import Project
from shardyard.sagemaker import boto3_code, estimator, model_trainer


class Writer(Protocol):
    """A module that writes one kind."""

    def code(self, project: Project, image_uri: str) -> str: ...

    def document(self, project: Project, image_uri: str) -> dict[str, Any]: ...


SDKS: dict[str, Writer] = {"v2": estimator, "v3": model_trainer, "boto3": boto3_code}


def writer(sdk: str) -> Writer:
    """Raises for a name that is none."""
    if sdk not in SDKS:
        raise ProjectError(f"--sdk {sdk!r} is unknown; use one of: {', '.join(SDKS)}")
    return SDKS[sdk]
