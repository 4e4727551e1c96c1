"""How the job asks to be launched."""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Mapping

from .config import JobConfig
from .errors import LaunchError
from .groups import check_groups, takes_part

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
    check_groups(config)
    if not takes_part(config):
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
