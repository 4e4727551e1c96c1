"""The three JSON files that the platform lays down before it starts the container."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import LaunchError

PLATFORM_KEYS = frozenset(
    {
        "sagemaker_program",
        "sagemaker_submit_directory",
        "sagemaker_enable_cloudwatch_metrics",
        "sagemaker_region",
        "sagemaker_container_log_level",
        "sagemaker_job_name",
        "default_user_module_name",
        "_tuning_objective_metric",
        "sagemaker_s3_output",
    }
)
# Any of these makes the host's own group the one that the job is distributed over.
DISTRIBUTION_KEYS = (
    "sagemaker_mpi_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
    "sagemaker_torch_distributed_enabled",
)


@dataclass(frozen=True)
class JobConfig:
    """One host's view of the job, decoded, with the documented defaults filled in."""

    base: Path
    hyperparameters: dict[str, Any]
    resource: dict[str, Any]
    channels: dict[str, Any] = field(default_factory=dict)
    resource_file: dict[str, Any] = field(default_factory=dict)  # as it lies there, for SM_RESOURCE_CONFIG

    @property
    def hosts(self) -> list[str]:
        return list(self.resource["hosts"])

    @property
    def current_host(self) -> str:
        return str(self.resource["current_host"])

    @property
    def interface(self) -> str:
        return str(self.resource.get("network_interface_name") or "eth0")

    @property
    def user_hyperparameters(self) -> dict[str, Any]:
        return {key: value for key, value in self.hyperparameters.items() if not _is_platform_key(key)}

    @property
    def framework_parameters(self) -> dict[str, Any]:
        """What the SDK sends to launchers; the settings of the container itself are not among them."""
        return {
            key: value
            for key, value in self.hyperparameters.items()
            if key.startswith("sagemaker_") and key not in PLATFORM_KEYS
        }

    @property
    def mpi_enabled(self) -> bool:
        return self.is_on("sagemaker_mpi_enabled")

    @property
    def distribution_enabled(self) -> bool:
        return any(self.is_on(key) for key in DISTRIBUTION_KEYS)

    def is_on(self, key: str) -> bool:
        value = self.hyperparameters.get(key)
        # A generic estimator sends Python's spelling, which is not JSON and would count as true.
        return value.strip().lower() in {"true", "1"} if isinstance(value, str) else bool(value)


def base_dir(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml")


def decode_values(raw: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-decodes every value; one that is not JSON stays what it was."""
    return {key: _decode(value) for key, value in raw.items()}


def read_config(base: Path) -> JobConfig:
    folder = base / "input" / "config"
    hyperparameters = decode_values(_read(folder / "hyperparameters.json"))
    resource_file = _read(folder / "resourceconfig.json")
    resource = dict(resource_file)
    resource.setdefault("current_host", "algo-1")
    resource.setdefault("hosts", [resource["current_host"]])
    resource.setdefault("current_instance_type", "local")
    resource.setdefault("current_group_name", "homogeneousCluster")
    resource.setdefault("network_interface_name", "eth0")
    if not resource.get("instance_groups"):
        resource["instance_groups"] = []
    _check_types(resource, folder / "resourceconfig.json")
    if resource["current_host"] not in resource["hosts"]:
        raise LaunchError(
            f"current_host {resource['current_host']!r} is not among hosts {resource['hosts']!r} in "
            f"{folder / 'resourceconfig.json'}, so this host has no place in the job. Correct that file."
        )
    channels = _read(folder / "inputdataconfig.json")
    return JobConfig(base, hyperparameters, resource, channels, resource_file)


def _check_types(resource: Mapping[str, Any], path: Path) -> None:
    """What the rest relies on. Further keys, and further keys of the groups, are the platform's own."""
    wrong = []
    if not _is_names(resource["hosts"]) or not resource["hosts"]:
        wrong.append(f"hosts is {resource['hosts']!r}, and must be a list of names")
    for key in ("current_host", "current_group_name"):
        if not isinstance(resource[key], str):
            wrong.append(f"{key} is {resource[key]!r}, and must be a name")
    groups = resource["instance_groups"]
    for group in groups if isinstance(groups, list) else [groups]:
        named = isinstance(group, dict) and isinstance(group.get("instance_group_name"), str)
        if not named or not _is_names(group.get("hosts")):
            wrong.append(
                f"instance_groups holds {group!r}, and must hold objects with instance_group_name and hosts"
            )
    if wrong:
        raise LaunchError(f"{path} cannot be used: {'; '.join(wrong)}. Correct that file.")


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_platform_key(key: str) -> bool:
    return key.startswith("sagemaker_") or key in PLATFORM_KEYS


def _decode(value: Any) -> Any:
    try:
        return json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return value


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LaunchError(f"{path} cannot be read as JSON: {error}. Write a JSON object there.") from error
    if not isinstance(content, dict):
        raise LaunchError(f"{path} holds {type(content).__name__}, not a JSON object. Write an object there.")
    return content
