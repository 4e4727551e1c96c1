"""The base image, the environment and the instance type."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.catalog import bases, instances
from shardyard.errors import ProjectError
from shardyard.image.base import base_of
from shardyard.project.findings import Finding, nearest
from shardyard.project.model import Project

_SECRET_WORDS = {"SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIAL", "CREDENTIALS"}


def base(project: Project) -> Iterator[Finding]:
    """The base image can be told."""
    try:
        base_of(project)
    except ProjectError as error:
        yield from error.findings


def original_library(project: Project) -> Iterator[Finding]:
    """Bundled or the base's own: one of the two has to work with this base."""
    image = project.image
    if image.base or not project.distribution.model_parallel:
        return
    try:
        found = bases.find(image.framework, image.framework_version, image.python_version, image.device)
    except bases.NoBase:
        return
    title = f"{image.framework} {found.version} ({found.python})"
    if image.runtime == "image" and not found.smp:
        text = f"'image', but the image of {title} carries no smdistributed.modelparallel"
        yield Finding("error", "no-original", "image.runtime", text, 'runtime = "bundled"')
    if image.runtime == "bundled" and not _bundled_works(found):
        remedy = 'runtime = "image"' if found.smp else "choose a newer framework_version"
        text = f"'bundled' needs Python 3.10 and torch 2.0 or TensorFlow 2.12; this is {title}"
        yield Finding("error", "too-old", "image.runtime", text, remedy)


def _bundled_works(found: bases.Base) -> bool:
    version = tuple(int(part) for part in found.version.split(".")[:2])
    python = int(found.python.removeprefix("py3") or 0)
    return python >= 10 and version >= {"pytorch": (2, 0), "tensorflow": (2, 12)}[found.framework]


def environment(project: Project) -> Iterator[Finding]:
    """Names that sound like a secret."""
    for name in project.image.env:
        if _SECRET_WORDS & set(name.upper().split("_")) or name.upper().endswith("API_KEY"):
            text = "sounds like a secret, and everyone who has the image can read it"
            yield Finding(
                "warning", "secret", f"image.env.{name}", text, "hand it over with [job.environment]"
            )


def instance_type(project: Project) -> Iterator[Finding]:
    """Known, with the devices that the image and the processes want."""
    job, mpi = project.job, project.distribution.mpi
    if job.instance_type is None or job.instance_type.startswith("local"):
        return
    where = "job.instance_type"
    found = instances.find(job.instance_type)
    if found is None:
        guess = nearest(job.instance_type, instances.names())
        text = f"{job.instance_type!r} is no known training instance type"
        yield Finding("warning", "instance-type", where, text, f"did you mean {guess!r}?" if guess else "")
        return
    if project.image.device == "gpu" and not found.gpus:
        text = f"{found.name} has no GPU, but image.device is 'gpu'"
        yield Finding("error", "no-gpu", where, text, 'device = "cpu", or another instance type')
    processes = mpi.processes_per_host if mpi.enabled else None
    if project.image.device == "gpu" and found.gpus and processes is not None:
        key = "distribution.mpi.processes_per_host"
        if processes > found.gpus:
            text = f"{processes} is more than the {found.gpus} GPUs of {found.name}"
            yield Finding("error", "too-many-processes", key, text, f"processes_per_host = {found.gpus}")
        elif processes < found.gpus:
            text = (
                f"{processes} leaves {found.gpus - processes} of the {found.gpus} GPUs of {found.name} idle"
            )
            yield Finding("warning", "idle-gpus", key, text, f"processes_per_host = {found.gpus}")
    wanted = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}.get(found.arch or "", project.image.platform)
    if project.image.platform != wanted:
        text = f"{project.image.platform!r}, but {found.name} is {found.arch}"
        yield Finding("error", "platform", "image.platform", text, f'platform = "{wanted}"')
