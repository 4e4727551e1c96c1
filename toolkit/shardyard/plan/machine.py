"""The base image and the instance type."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.catalog import bases, instances
from shardyard.catalog.data_files import read
from shardyard.errors import ProjectError
from shardyard.image.base import base_of as reference_of
from shardyard.plan.library import base_of
from shardyard.project.findings import Finding, nearest
from shardyard.project.model import Project

_INSTANCE = "job.instance_type"


def base(project: Project) -> Iterator[Finding]:
    """The base image can be told."""
    try:
        reference_of(project)
    except ProjectError as error:
        yield from error.findings


def instance_type(project: Project) -> Iterator[Finding]:
    """Known, and of the kind that the image is for."""
    name = project.job.instance_type
    if name is None or name.startswith("local"):
        return
    found = instances.find(name)
    if found is None:
        guess = nearest(name, instances.names())
        text = f"{name!r} is no known training instance type"
        yield Finding(
            "warning", "instance-type", _INSTANCE, text, f"did you mean {guess!r}?" if guess else ""
        )
    elif project.image.device == "gpu" and not found.gpus and not _gpus_elsewhere(project):
        text = f"{found.name} has no GPU, but image.device is 'gpu'"
        yield Finding("error", "no-gpu", _INSTANCE, text, 'device = "cpu", or another instance type')
    elif project.image.device == "cpu" and found.gpus:
        text = f"{found.name} has {found.gpus} GPUs, which an image for 'cpu' leaves idle"
        yield Finding("warning", "idle-gpus", _INSTANCE, text, 'device = "gpu", or another instance type')


def _gpus_elsewhere(project: Project) -> bool:
    """In another group of a job that is not distributed: only its script knows which host does what."""
    groups = [] if project.distribution.instance_groups else project.job.instance_groups
    return any((found := instances.find(one.instance_type)) and found.gpus for one in groups)


def gpus(project: Project) -> Iterator[Finding]:
    """One process a GPU."""
    found, mpi = _instance(project), project.distribution.mpi
    each = mpi.processes_per_host if mpi.enabled else None
    if found is None or project.image.device != "gpu" or not found.gpus or each is None:
        return
    key, remedy = "distribution.mpi.processes_per_host", f"processes_per_host = {found.gpus}"
    if each > found.gpus:
        text = f"{each} is more than the {found.gpus} GPUs of {found.name}"
        yield Finding("error", "too-many-processes", key, text, remedy)
    elif each < found.gpus:
        text = f"{each} leaves {found.gpus - each} of the {found.gpus} GPUs of {found.name} idle"
        yield Finding("warning", "idle-gpus", key, text, remedy)


def platform(project: Project) -> Iterator[Finding]:
    """The image runs on the instance's processors, and the base on the image's."""
    found, given = _instance(project), project.image.platform
    if found is not None and found.platform not in (None, given):
        text = f"{given!r}, but {found.name} is {found.arch}"
        yield Finding("error", "platform", "image.platform", text, f'platform = "{found.platform}"')
    if given != bases.PLATFORM and base_of(project) is not None:
        text = f"{given!r}, but the base is published for {bases.PLATFORM} only"
        remedy = f'platform = "{bases.PLATFORM}" with another instance type, or a base of your own'
        yield Finding("error", "platform", "image.platform", text, remedy)


def old_gpu(project: Project) -> Iterator[Finding]:
    """GPUs that the frameworks have left behind."""
    found, image = _instance(project), base_of(project)
    newest = read("runtimes.json")["without_p2"]
    old = found is not None and found.name.startswith("ml.p2.") and image is not None
    if old and image is not None and bases.numbers(image.version) >= bases.numbers(newest[image.framework]):
        text = (
            f"{project.job.instance_type}: {image.framework} runs on it only before {newest[image.framework]}"
        )
        yield Finding("error", "old-gpu", _INSTANCE, text, 'instance_type = "ml.g4dn.xlarge"')


def _instance(project: Project) -> instances.InstanceType | None:
    return instances.find(project.job.instance_type) if project.job.instance_type else None
