"""How the job asks to be launched."""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Mapping

from .cluster import distribution_hosts
from .config import JobConfig
from .errors import LaunchError

log = logging.getLogger(__name__)

_NOT_BUILT = {
    "sagemaker_parameter_server_enabled": "parameter servers",
    "sagemaker_pytorch_xla_multi_worker_enabled": "PyTorch/XLA",
    "sagemaker_multi_worker_mirrored_strategy_enabled": "TensorFlow's MultiWorkerMirroredStrategy",
}
_REPLACED = re.compile(r"sagemaker_\w+_container\b")  # modules of the base images that drive the incumbent
_DATA_PARALLEL = ("sagemaker_pytorch_ddp_enabled", "sagemaker_distributed_dataparallel_enabled")


class Mode(enum.Enum):
    PLAIN = "one process"
    MPI = "mpirun"
    TORCHRUN = "torchrun"
    FUNCTION = "the function of SAGEMAKER_TRAINING_MODULE"


def choose_mode(config: JobConfig, environ: Mapping[str, str]) -> Mode:
    if training_function(environ):
        return Mode.FUNCTION
    _check_groups(config)
    if config.current_host not in distribution_hosts(config):
        return Mode.PLAIN
    if config.mpi_enabled:
        return Mode.MPI
    if config.is_on("sagemaker_torch_distributed_enabled"):
        return Mode.TORCHRUN
    if any(config.is_on(key) for key in _DATA_PARALLEL):
        log.warning(
            "the job asks for smdistributed.dataparallel, which this launcher does not start: torchrun starts "
            "the processes. init_process_group must be given 'nccl' or 'gloo', not 'smddp'"
        )
        return Mode.TORCHRUN
    for key, name in _NOT_BUILT.items():
        if config.is_on(key):
            raise LaunchError(
                f"The job sets {key}, and launching {name} is not built yet. Use `mpi` or "
                "`torch_distributed` in the estimator's distribution."
            )
    return Mode.PLAIN


def _check_groups(config: JobConfig) -> None:
    known = [str(group["instance_group_name"]) for group in config.resource["instance_groups"]]
    named = config.hyperparameters.get("sagemaker_distribution_instance_groups") or []
    strange = [name for name in named if name not in known] if known else []
    if strange:
        raise LaunchError(
            f"sagemaker_distribution_instance_groups names {strange[0]!r}, which is no instance group of this "
            f"job: it has {', '.join(map(repr, known))}. Correct instance_groups in the estimator's distribution."
        )


def training_function(environ: Mapping[str, str]) -> str:
    """`package.module:function`; "" when there is none, or one whose work this launcher does itself."""
    named = environ.get("SAGEMAKER_TRAINING_MODULE") or ""
    if not named:
        return ""
    if _REPLACED.match(named):
        log.info("SAGEMAKER_TRAINING_MODULE=%s: this launcher does its work", named)
        return ""
    module, _, function = named.partition(":")
    if not module or not function:
        raise LaunchError(f"SAGEMAKER_TRAINING_MODULE is {named!r}. It must read package.module:function.")
    return named
