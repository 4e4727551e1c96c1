"""A container whose own file system cannot be written to: the job fails in words, not in a traceback."""

from __future__ import annotations

import docker
import pytest

pytestmark = pytest.mark.testbed

SHOW = "train; echo CODE $?; cat /opt/ml/output/failure; true"


def test_without_a_place_for_temporary_files(client: docker.DockerClient, runtime_image: str) -> None:
    said = client.containers.run(
        runtime_image,
        ["sh", "-c", SHOW],
        read_only=True,
        tmpfs={"/opt/ml/output": ""},
        stderr=True,
        remove=True,
    ).decode()
    assert "CODE 3\nThe launcher finds no folder for its own files: " in said
    assert "mount a file system there" in said
    assert "Traceback" not in said


def test_with_one_the_job_runs(client: docker.DockerClient, runtime_image: str) -> None:
    script = "mkdir -p /tmp/code && echo 'print(6 * 7)' > /tmp/code/train.py; " + SHOW
    said = client.containers.run(
        runtime_image,
        ["sh", "-c", script],
        read_only=True,
        tmpfs={"/tmp": "", "/opt/ml/output": ""},
        environment={"SAGEMAKER_SUBMIT_DIRECTORY": "/tmp/code"},
        stderr=True,
        remove=True,
    ).decode()
    assert "\n42\n" in said
    assert "CODE 0" in said
