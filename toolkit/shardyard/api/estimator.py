"""``shardyard.estimator``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shardyard.project.load import load
from shardyard.sagemaker.choice import writer
from shardyard.sagemaker.target import image_uri


@dataclass(frozen=True)
class HandOff:
    """The same hand-off twice: as code to run and as keyword arguments."""

    code: str
    arguments: dict[str, Any]


def estimator(project: str | Path = ".", *, sdk: str = "v2", image: str | None = None) -> HandOff:
    """Hand-off code for the SageMaker SDK or for boto3; ``image`` replaces the URI that [registry] gives."""
    written = writer(sdk)
    loaded = load(project)
    uri = image or image_uri(loaded)
    return HandOff(written.code(loaded, uri), written.document(loaded, uri))
