"""Variables and hyperparameters that belong to the launcher."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.project.findings import Finding
from shardyard.project.model import Project

_CODE = "/opt/ml/code"
_HYPERPARAMETERS = (
    "mp_parameters",
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_mpi_enabled",
)
_INSTEAD = {
    "mp_parameters": "use [distribution.smdistributed.modelparallel] parameters",
    "sagemaker_program": "use [image] entry_point",
    "sagemaker_submit_directory": "the code is in the image; remove it",
}


def hyperparameters(project: Project) -> Iterator[Finding]:
    """Names that the hand-off sends itself. A false that arrives as text counts as true in the bases."""
    for name, value in project.job.hyperparameters.items():
        if name in _HYPERPARAMETERS or name.startswith("sagemaker_mpi_"):
            text = f"{value!r}: the hand-off sends this name itself, from the rest of the project"
            remedy = _INSTEAD.get(name, "use [distribution.mpi]")
            yield Finding("warning", "reserved", f"job.hyperparameters.{name}", text, remedy)


def submit_directory(project: Project) -> Iterator[Finding]:
    """The entry point is looked for where this variable points; the code lies in one place of the image."""
    given = {"image.env": project.image.env, "job.environment": project.job.environment}
    for section, table in given.items():
        value = table.get("SAGEMAKER_SUBMIT_DIRECTORY")
        if value is not None and value.rstrip("/") != _CODE:
            where = f"{section}.SAGEMAKER_SUBMIT_DIRECTORY"
            text = f"{value!r}, but {project.image.entry_point!r} and the rest of the code lie in {_CODE}"
            yield Finding("error", "outside-submit", where, text, "remove it")


def program(project: Project) -> Iterator[Finding]:
    """A program named by variable wins over entry_point."""
    value = project.job.environment.get("SAGEMAKER_PROGRAM")
    if value is None or value == project.image.entry_point:
        return
    where = "job.environment.SAGEMAKER_PROGRAM"
    there = (project.source_dir / value).is_file()
    text = f"{value!r} would run in place of entry_point {project.image.entry_point!r}"
    text += "" if there else f", and it is not in source_dir {project.image.source_dir!r}"
    remedy = "set entry_point to it" if there else "remove it"
    yield Finding("warning" if there else "error", "other-program", where, text, remedy)
