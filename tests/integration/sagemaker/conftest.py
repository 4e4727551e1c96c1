"""Hosts as containers, for what the SDK v3 asks a container to run."""

from tests.integration.faults.conftest import client, new_container_job, runtime_image, settings

__all__ = ["client", "new_container_job", "runtime_image", "settings"]
