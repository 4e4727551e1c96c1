"""The three JSON files that the platform lays down before it starts the container."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import LaunchError

_SAGEMAKER_KEYS = frozenset({"default_user_module_name", "_tuning_objective_metric"})


@dataclass(frozen=True)
class JobConfig:
    """One host's view of the job, decoded, with the documented defaults filled in."""

    base: Path
    hyperparameters: dict[str, Any]
    resource: dict[str, Any]
    channels: dict[str, Any] = field(default_factory=dict)

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
        return {key: value for key, value in self.hyperparameters.items() if key.startswith("sagemaker_")}

    @property
    def mpi_enabled(self) -> bool:
        value = self.hyperparameters.get("sagemaker_mpi_enabled")
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
    resource = _read(folder / "resourceconfig.json")
    resource.setdefault("current_host", "algo-1")
    resource.setdefault("hosts", [resource["current_host"]])
    resource.setdefault("current_instance_type", "local")
    resource.setdefault("current_group_name", "homogeneousCluster")
    resource.setdefault("network_interface_name", "eth0")
    resource.setdefault("instance_groups", [])
    if resource["current_host"] not in resource["hosts"]:
        raise LaunchError(
            f"current_host {resource['current_host']!r} is not among hosts {resource['hosts']!r} in "
            f"{folder / 'resourceconfig.json'}, so this host has no place in the job. Correct that file."
        )
    return JobConfig(base, hyperparameters, resource, _read(folder / "inputdataconfig.json"))


def _is_platform_key(key: str) -> bool:
    return key.startswith("sagemaker_") or key in _SAGEMAKER_KEYS


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
