"""The parameters of the library, as the runtime itself reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard_runtime.config.parameter_values import ParameterFinding, convert
from shardyard_runtime.config.parameters import ParameterError, SmpConfig, parse

WHERE = "distribution.smdistributed.modelparallel.parameters"
_NOT_BUILT = "not built yet"
_SPLITS = ("partitions", "pipeline_parallel_degree", "tensor_parallel_degree", "sharded_data_parallel_degree")


def read(project: Project) -> tuple[SmpConfig | None, list[ParameterFinding]]:
    """The configuration, None where the parameters are wrong, and what there is to say of them.

    With ``runtime = "image"`` the base's own library reads them: what ours has not built yet counts as given.
    """
    block = project.distribution.model_parallel
    raw = block.parameters if block else {}
    framework = project.image.framework
    try:
        config = parse(raw, framework=framework)
        return config, list(config.warnings)
    except ParameterError as error:
        found = error.findings
    missing = {one.name for one in found if one.level == "error" and _NOT_BUILT in one.message}
    if project.image.runtime == "bundled" or not missing:
        return None, found
    try:
        config = parse({name: raw[name] for name in raw.keys() - missing}, framework=framework)
    except ParameterError as error:
        return None, error.findings
    known = {one.name for one in fields(SmpConfig)}
    given = {name: convert(name, raw[name]) for name in missing & known & raw.keys()}
    return replace(config, **given), list(config.warnings)


def configuration(project: Project) -> SmpConfig | None:
    """The parsed parameters; None where they are wrong, or model parallelism is off."""
    return read(project)[0] if project.distribution.model_parallel else None


def parameters(project: Project) -> Iterator[Finding]:
    """What the runtime itself says of the parameters."""
    if project.distribution.model_parallel is None:
        return
    for one in read(project)[1]:
        level = "error" if one.level == "error" else "warning"
        yield Finding(level, "parameter", f"{WHERE}.{one.name}", one.message, one.remedy)  # type: ignore[arg-type]


def partitions(project: Project) -> Iterator[Finding]:
    """Model parallelism that splits nothing."""
    block = project.distribution.model_parallel
    if block and not any(block.parameters.get(name) is not None for name in _SPLITS):
        text = "neither partitions nor pipeline_parallel_degree is given: the model is not partitioned"
        yield Finding("warning", "no-partitions", WHERE, text, "partitions = 2")
