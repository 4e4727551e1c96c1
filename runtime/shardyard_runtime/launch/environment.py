"""The SM_* environment of the user's process."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from .arguments import to_arguments
from .cluster import gpu_count
from .config import JobConfig
from .cores import core_count
from .entry import EntryPoint
from .groups import distribution_groups, distribution_hosts
from .logs import log_level
from .neurons import neuron_count

log = logging.getLogger(__name__)


def training_environment(
    config: JobConfig, entry: EntryPoint, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Every variable that the platform's containers set, for this host."""
    facts = _facts(config, entry, environ)
    variables = {f"SM_{key.upper()}": to_text(value) for key, value in facts.items()}
    variables["SM_HPS"] = to_text(config.user_hyperparameters)
    variables["SM_FRAMEWORK_PARAMS"] = to_text(config.framework_parameters)
    variables["SM_CHANNELS"] = to_text(sorted(config.channels))
    variables["SM_USER_ARGS"] = to_text(to_arguments(config.user_hyperparameters))
    variables["SM_TRAINING_ENV"] = to_text(_training_env(config, facts, environ))
    if topology := config.resource.get("topology"):
        variables["SM_TOPOLOGY"] = to_text(topology)
    for name in config.channels:
        variables[f"SM_CHANNEL_{name.upper()}"] = str(config.base / "input" / "data" / name)
    for name, value in config.user_hyperparameters.items():
        variables[f"SM_HP_{name.upper()}"] = to_text(value)
    variables |= _platform_variables(config, environ)
    variables["PYTHONPATH"] = _python_path(entry, environ)
    return {name: value for name, value in variables.items() if _can_be_set(name, value)}


def to_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _facts(config: JobConfig, entry: EntryPoint, environ: Mapping[str, str]) -> dict[str, Any]:
    base, resource = config.base, config.resource
    groups = {group["instance_group_name"]: group for group in resource["instance_groups"]}
    current_group = resource["current_group_name"]
    instance_type = resource["current_instance_type"]
    return {
        "hosts": config.hosts,
        "network_interface_name": config.interface,
        "user_entry_point": entry.program,
        "resource_config": config.resource_file,
        "input_data_config": config.channels,
        "output_data_dir": str(base / "output" / "data"),
        "current_host": config.current_host,
        "current_instance_type": instance_type,
        "current_instance_group": current_group,
        "current_instance_group_hosts": groups.get(current_group, {}).get("hosts", []),
        "instance_groups": list(groups),
        "instance_groups_dict": groups,
        "distribution_instance_groups": distribution_groups(config),
        "is_hetero": len(groups) > 1,
        "module_name": entry.module_name,
        "log_level": log_level(config, environ),
        "framework_module": environ.get("SAGEMAKER_TRAINING_MODULE"),
        "input_dir": str(base / "input"),
        "input_config_dir": str(base / "input" / "config"),
        "output_dir": str(base / "output"),
        "num_cpus": core_count(),
        "num_gpus": gpu_count(),
        "num_neurons": neuron_count(str(instance_type)),
        "model_dir": str(base / "model"),
        "module_dir": entry.module_dir or str(entry.code_dir),
        "output_intermediate_dir": str(base / "output" / "intermediate"),
    }


def _training_env(config: JobConfig, facts: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    groups = config.resource["instance_groups"]
    distributed = distribution_groups(config)
    hosts = [
        host for group in groups if group["instance_group_name"] in distributed for host in group["hosts"]
    ]
    master = distribution_hosts(config)[0]
    return {
        **facts,
        "additional_framework_parameters": config.framework_parameters,
        "channel_input_dirs": {name: str(config.base / "input" / "data" / name) for name in config.channels},
        "distribution_hosts": hosts if groups else config.hosts,
        "hyperparameters": config.user_hyperparameters,
        "is_master": config.current_host == master,
        "is_modelparallel_enabled": bool(config.hyperparameters.get("mp_parameters")),
        "is_smddpmprun_installed": shutil.which("smddpmprun") is not None,
        "is_smddprun_installed": shutil.which("smddprun") is not None,
        "job_name": environ.get("TRAINING_JOB_NAME"),
        "master_hostname": master,
        "topology": config.resource.get("topology", []),
    }


def _platform_variables(config: JobConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """What the platform's containers set beside SM_*."""
    given = config.hyperparameters
    return {
        "CURRENT_HOST": config.current_host,
        "SAGEMAKER_JOB_NAME": str(given.get("sagemaker_job_name") or environ.get("SAGEMAKER_JOB_NAME", "")),
        "SAGEMAKER_REGION": str(
            given.get("sagemaker_region")
            or environ.get("SAGEMAKER_REGION")
            or environ.get("AWS_DEFAULT_REGION", "")
        ),
    }


def _python_path(entry: EntryPoint, environ: Mapping[str, str]) -> str:
    entries = [str(entry.code_dir), *environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path]
    return os.pathsep.join(dict.fromkeys(path for path in entries if path))


def _can_be_set(name: str, value: str) -> bool:
    """The system's environment has no place for some texts that JSON can hold; the arguments still do."""
    try:
        ok = "=" not in name and b"\0" not in os.fsencode(name) + os.fsencode(value)
    except UnicodeEncodeError:
        ok = False
    if not ok:
        log.warning("%r is left out of the environment: no variable can hold it", name)
    return ok
