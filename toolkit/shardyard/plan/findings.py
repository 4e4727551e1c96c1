"""Everything that ``check`` looks at; each look-out is a function from a project to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from shardyard.errors import ProjectError
from shardyard.plan import (
    arithmetic,
    code,
    fabric,
    groups_of_instances,
    hand_over,
    library,
    machine,
    mpi_options,
    parameters,
    reserved,
    secrets,
    strategies,
    template,
)
from shardyard.project.findings import Finding
from shardyard.project.model import Project

Lookout = Callable[[Project], Iterator[Finding]]

DISTRIBUTION: tuple[Lookout, ...] = (
    groups_of_instances.described_once,
    groups_of_instances.named,
    groups_of_instances.one,
    strategies.one_strategy,
    strategies.enabled,
    parameters.parameters,
    parameters.partitions,
    strategies.mpi,
    arithmetic.degrees,
    arithmetic.sharding,
    arithmetic.replicas,
    arithmetic.straddling,
    mpi_options.words,
    mpi_options.never,
    mpi_options.twice,
)

LOOKOUTS: tuple[Lookout, ...] = (
    code.entry_point,
    code.files,
    code.requirements,
    reserved.hyperparameters,
    reserved.submit_directory,
    reserved.program,
    machine.base,
    library.framework,
    library.typed_version,
    library.bundled,
    library.original,
    library.newer_parameters,
    secrets.environment,
    secrets.build_args,
    secrets.addresses,
    secrets.secrets,
    template.template,
    *DISTRIBUTION,
    strategies.data_parallel,
    hand_over.values,
    hand_over.keys,
    hand_over.placement,
    hand_over.instance,
    groups_of_instances.types,
    machine.instance_type,
    machine.gpus,
    machine.platform,
    machine.old_gpu,
    fabric.flags,
)

# What matters to a job on this machine: its base image and instance type do not.
LOCAL_LOOKOUTS: tuple[Lookout, ...] = (code.entry_point, *DISTRIBUTION)


def all_findings(project: Project, lookouts: tuple[Lookout, ...] = LOOKOUTS) -> list[Finding]:
    """All findings, errors first."""
    return errors_first(finding for look in lookouts for finding in look(project))


def errors_first(found: Iterable[Finding]) -> list[Finding]:
    return sorted(found, key=lambda one: ("error", "warning", "note").index(one.level))


def refuse(project: Project, lookouts: tuple[Lookout, ...] = LOOKOUTS) -> None:
    """Raises ProjectError with every error: nothing is built or started from a project that cannot work."""
    errors = [one for one in all_findings(project, lookouts) if one.level == "error"]
    if errors:
        text = f"the project has {len(errors)} error{'s' * (len(errors) > 1)}; nothing was started"
        raise ProjectError(text, errors)


def refuse_local(project: Project) -> None:
    """The same for a job on this machine, with the hosts and processes of [run]."""
    mpi, run = project.distribution.mpi, project.run
    given = replace(mpi, processes_per_host=run.processes_per_host)
    distribution = replace(project.distribution, mpi=given)
    hosts = project.job.instance_count if project.job.instance_groups else run.hosts or 1
    job = replace(project.job, instance_count=hosts)
    refuse(replace(project, distribution=distribution, job=job), LOCAL_LOOKOUTS)
