"""Which library the image would run: the one bundled here or the base's own, and what that one knows."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.catalog import bases, regions
from shardyard.catalog.data_files import read
from shardyard.plan.parameters import WHERE
from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard_runtime.config.parameter_rules import asks
from shardyard_runtime.config.parameter_values import known

_RUNTIME = "image.runtime"


def base_of(project: Project) -> bases.Base | None:
    """The catalog's image that the project stands on; None for one of the user's own."""
    image = project.image
    if image.base:
        return bases.of_reference(image.base)
    try:
        return bases.find(image.framework, image.framework_version, image.python_version, image.device)
    except bases.NoBase:
        return None


def bundled(project: Project) -> Iterator[Finding]:
    """Our runtime has to run in this base."""
    found = base_of(project)
    if found is None or project.image.runtime != "bundled" or not project.distribution.model_parallel:
        return
    if not found.bundled_works:
        oldest = read("runtimes.json")["bundled"]
        text = (
            f"'bundled' needs Python {oldest['python']} and torch {oldest['pytorch']} or TensorFlow "
            f"{oldest['tensorflow']}; this is {_title(found)}"
        )
        remedy = 'runtime = "image"' if found.smp else "choose a newer framework_version"
        if not found.smp:
            text += ", which carries no smdistributed.modelparallel either"
        yield Finding("error", "too-old", _RUNTIME, text, remedy)


def original(project: Project) -> Iterator[Finding]:
    """The base's own library has to be there."""
    found = base_of(project)
    if (
        project.image.runtime != "image"
        or not project.distribution.model_parallel
        or found is None
        or found.smp
    ):
        return
    text = f"'image', but the image of {_title(found)} carries no smdistributed.modelparallel"
    other = _with_original(found)
    if other is not None and other.device == found.device:
        remedy = f'base = "{_place(project)}{other.repository}:{other.tag}", which carries {other.smp}'
    elif found.bundled_works:
        remedy = 'runtime = "bundled"'
    elif other is not None:
        remedy = f'device = "{other.device}": that image carries {other.smp}'
    else:
        remedy = "choose another framework_version: shardyard images lists what carries which"
    yield Finding("error", "no-original", _RUNTIME, text, remedy)


def _with_original(base: bases.Base) -> bases.Base | None:
    same = [one for one in bases.select(base.framework, base.version) if one.smp]
    return next((one for one in same if one.device == base.device), next(iter(same), None))


def _place(project: Project) -> str:
    region = project.registry.region
    return regions.find(region).registry + "/" if region in regions.names() and region else ""


def newer_parameters(project: Project) -> Iterator[Finding]:
    """Parameters that came after the version that the base carries."""
    found, block = base_of(project), project.distribution.model_parallel
    if project.image.runtime != "image" or block is None or found is None or found.smp is None:
        return
    for name, value in block.parameters.items():
        row = known().get(name)
        if row is None or row["since"] is None or not asks(name, value):
            continue
        if bases.numbers(row["since"]) > bases.numbers(found.smp):
            text = f"came with {row['since']}; the image of {_title(found)} carries {found.smp}"
            yield Finding("error", "library-version", f"{WHERE}.{name}", text, _newer(found, row["since"]))


def _newer(base: bases.Base, since: str) -> str:
    for one in bases.select(base.framework):
        if one.smp and bases.numbers(one.smp) >= bases.numbers(since):
            return f'framework_version = "{one.version}", or remove it'
    return "remove it"


def framework(project: Project) -> Iterator[Finding]:
    """A base of the catalog that is of another framework, device or kind than the project says."""
    image = project.image
    if not image.base:
        return
    if "smdistributed-modelparallel:" in image.base:
        text = "carries version 2 of the library, which has another programming interface"
        yield Finding("warning", "library-2", "image.base", text, 'runtime = "bundled" keeps this one')
    found = bases.of_reference(image.base)
    if found is None:
        return
    for key, says, holds in (
        ("framework", image.framework, found.framework),
        ("device", image.device, found.device),
    ):
        if says != holds:
            text = f"{says!r}, but the base {image.base!r} is of {holds!r}"
            yield Finding("error", "other-base", f"image.{key}", text, f'{key} = "{holds}"')


def typed_version(project: Project) -> Iterator[Finding]:
    """framework_version beside a base of one's own says nothing, unless it says the wrong thing."""
    image = project.image
    found = bases.of_reference(image.base) if image.base else None
    if found is None or image.framework_version is None or found.framework != image.framework:
        return
    if not (found.version + ".").startswith(image.framework_version + "."):
        text = f"{image.framework_version!r}, but the base {image.base!r} is of {found.version}"
        yield Finding(
            "warning", "other-base", "image.framework_version", text, f'framework_version = "{found.version}"'
        )


def _title(found: bases.Base) -> str:
    return f"{found.framework} {found.version} ({found.device}, {found.python})"
