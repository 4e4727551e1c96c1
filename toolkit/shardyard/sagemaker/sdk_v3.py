"""What the SDK v3 cannot carry into the container.

There it writes every hyperparameter and channel into a file of shell exports, whose values it puts between single
quotes without escaping them, and sources that before any driver starts.
"""

from __future__ import annotations

import json
import re

from shardyard.errors import ProjectError
from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard.sagemaker.hyperparameters import distributed

_WAY_OUT = "shardyard estimator --sdk boto3, or shardyard launch: they carry it"
_VARIABLE = re.compile(r"\w+", re.ASCII)


def refuse(project: Project) -> None:
    """Raises ProjectError with everything that would end the job before its script starts."""
    job = project.job
    values = dict(job.hyperparameters) | distributed(project) | {"entry_point": project.image.entry_point}
    texts = [*values.items(), *(("inputs", uri) for uri in job.inputs.values())]
    quoted = [name for name, value in texts if "'" in json.dumps(value, ensure_ascii=False)]
    unnamed = [name for name in job.hyperparameters if not _VARIABLE.fullmatch(name.replace("-", "_"))]
    channels = [name for name in job.inputs if not _VARIABLE.fullmatch(name)]
    findings = [
        *(_finding(name, "holds a single quote") for name in quoted),
        *(_finding(name, "is no name of a shell variable") for name in unnamed),
        *(_finding(name, "names a channel, and no shell variable can be called so") for name in channels),
    ]
    if findings:
        raise ProjectError("the SDK v3 would end this job before its script starts", findings)


def _finding(name: str, why: str) -> Finding:
    return Finding("error", "sdk-v3", name, why, _WAY_OUT)
