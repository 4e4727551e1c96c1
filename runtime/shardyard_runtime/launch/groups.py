"""Which hosts the job is distributed over, where its hosts come in groups of different instances."""

from __future__ import annotations

from .config import JobConfig
from .errors import LaunchError


def distribution_groups(config: JobConfig) -> list[str]:
    """Those that the estimator names; else the host's own, when anything is to be distributed at all."""
    named = config.hyperparameters.get("sagemaker_distribution_instance_groups")
    if named:
        return [str(name) for name in (named if isinstance(named, list) else [named])]
    return [str(config.resource["current_group_name"])] if config.distribution_enabled else []


def distribution_hosts(config: JobConfig) -> list[str]:
    """In the order of the file; the first leads."""
    groups = config.resource["instance_groups"]
    wanted = distribution_groups(config)
    if not groups:
        return config.hosts
    hosts = [host for group in groups if group["instance_group_name"] in wanted for host in group["hosts"]]
    return hosts or config.hosts


def takes_part(config: JobConfig) -> bool:
    """The other hosts run the program as one process, and wait for nobody."""
    if config.resource["instance_groups"]:
        return config.current_host in distribution_hosts(config)
    wanted = distribution_groups(config)
    return not wanted or str(config.resource["current_group_name"]) in wanted


def check_groups(config: JobConfig) -> None:
    known = [str(group["instance_group_name"]) for group in config.resource["instance_groups"]]
    named = config.hyperparameters.get("sagemaker_distribution_instance_groups")
    strange = [name for name in distribution_groups(config) if name not in known] if known and named else []
    if strange:
        raise LaunchError(
            f"sagemaker_distribution_instance_groups names {strange[0]!r}, which is no instance group of this "
            f"job: it has {', '.join(map(repr, known))}. Correct instance_groups in the estimator's distribution."
        )
