"""Output that travels to S3 while the job runs: not built yet, so the job is told."""

from __future__ import annotations

import logging

from .config import JobConfig

log = logging.getLogger(__name__)


def warn_if_wanted(config: JobConfig) -> None:
    """A folder that is there already belongs to the platform, which carries its files itself."""
    target = str(config.hyperparameters.get("sagemaker_s3_output") or "")
    folder = config.base / "output" / "intermediate"
    if target.startswith("s3://") and not folder.is_dir():
        log.warning(
            "sagemaker_s3_output is %s, and copying %s there while the job runs is not built yet. Write to %s, "
            "which is kept when the job ends",
            *(target, folder, config.base / "output" / "data"),
        )
