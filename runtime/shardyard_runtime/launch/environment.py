"""The SM_* environment of the user's process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from .arguments import to_arguments
from .cluster import core_count, distribution_groups, distribution_hosts, gpu_count
from .config import JobConfig
from .entry import EntryPoint


def training_environment(
    config: JobConfig, entry: EntryPoint, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Every variable that the platform's containers set, for this host."""
    facts = _facts(config, entry)
    variables = {f"SM_{key.upper()}": to_text(value) for key, value in facts.items()}
    variables["SM_HPS"] = to_text(config.user_hyperparameters)
    variables["SM_USER_ARGS"] = to_text(to_arguments(config.user_hyperparameters))
    variables["SM_TRAINING_ENV"] = to_text(_training_env(config, facts, environ))
    for name in config.channels:
        variables[f"SM_CHANNEL_{name.upper()}"] = str(config.base / "input" / "data" / name)
    for name, value in config.user_hyperparameters.items():
        variables[f"SM_HP_{name.upper()}"] = to_text(value)
    variables["PYTHONPATH"] = _python_path(entry, environ)
    return variables


def to_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _facts(config: JobConfig, entry: EntryPoint) -> dict[str, Any]:
    base, resource = config.base, config.resource
    groups = {group["instance_group_name"]: group for group in resource["instance_groups"]}
    current_group = resource["current_group_name"]
    facts: dict[str, Any] = {
        "hosts": config.hosts,
        "network_interface_name": config.interface,
        "user_entry_point": entry.program,
        "framework_params": config.framework_parameters,
        "resource_config": dict(resource),
        "input_data_config": config.channels,
        "output_data_dir": str(base / "output" / "data"),
        "channels": sorted(config.channels),
        "current_host": config.current_host,
        "current_instance_type": resource["current_instance_type"],
        "current_instance_group": current_group,
        "current_instance_group_hosts": groups.get(current_group, {}).get("hosts", config.hosts),
        "instance_groups": list(groups),
        "instance_groups_dict": groups,
        "distribution_instance_groups": distribution_groups(config),
        "is_hetero": len(groups) > 1,
        "module_name": entry.module_name,
        "log_level": config.hyperparameters.get("sagemaker_container_log_level", 20),
        "framework_module": os.environ.get("SAGEMAKER_TRAINING_MODULE"),
        "input_dir": str(base / "input"),
        "input_config_dir": str(base / "input" / "config"),
        "output_dir": str(base / "output"),
        "num_cpus": core_count(),
        "num_gpus": gpu_count(),
        "num_neurons": 0,
        "model_dir": str(base / "model"),
        "module_dir": str(entry.code_dir),
        "output_intermediate_dir": str(base / "output" / "intermediate"),
    }
    if resource.get("topology"):
        facts["topology"] = resource["topology"]
    return facts


def _training_env(config: JobConfig, facts: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    master = distribution_hosts(config)[0]
    return {
        **facts,
        "additional_framework_parameters": config.framework_parameters,
        "channel_input_dirs": {name: str(config.base / "input" / "data" / name) for name in config.channels},
        "hyperparameters": config.user_hyperparameters,
        "is_master": config.current_host == master,
        "job_name": environ.get("TRAINING_JOB_NAME") or config.hyperparameters.get("sagemaker_job_name"),
        "master_hostname": master,
    }


def _python_path(entry: EntryPoint, environ: Mapping[str, str]) -> str:
    entries = [str(entry.code_dir), *environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path]
    return os.pathsep.join(dict.fromkeys(path for path in entries if path))
