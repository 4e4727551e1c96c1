"""One job that shows a defect, through either launcher."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from pathlib import Path

import docker

from tests.environments.environment import python
from tests.integration.parity.containers import MpiTree, launch
from tests.integration.parity.test_parity import at
from tests.integration.parity.tree import Result, Tree, finish, incumbent, ours, start, variables
from tests.soak.launch_defects import Defect, Ended

PYTORCH = "sagemaker-pytorch-training"
MODULE = {"SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main"}


def run_defect(defect: Defect, launcher: str, base: Path, client: docker.DockerClient, image: str) -> Result:
    if launcher == "theirs" and defect.script:
        return _run_script(defect.script, base)
    if isinstance(defect.job, MpiTree):
        return _run_mpi(defect, defect.job, launcher, base, client, image)
    return _run_process(defect, defect.job, launcher, base)


def _run_process(defect: Defect, job: Tree, launcher: str, base: Path) -> Result:
    environment = {**job.environment, **(MODULE if defect.pytorch else {})}
    job = at(dataclasses.replace(job, environment=environment), base)
    command = ours()
    if launcher == "theirs":
        command = [str(python(PYTORCH).with_name("train"))] if defect.pytorch else incumbent()
    job.write(base)
    process = start(command, base, job.environment)
    try:
        return finish(process, base, defect.patience)
    except subprocess.TimeoutExpired:
        return Result(base, process.returncode, b"", b"")


def _run_mpi(
    defect: Defect, job: MpiTree, launcher: str, base: Path, client: docker.DockerClient, image: str
) -> Result:
    if defect.pytorch:
        [source] = (
            python(PYTORCH)
            .parents[1]
            .glob("lib/python3*/site-packages/sagemaker_pytorch_container/training.py")
        )
        files = {"code/sagemaker_pytorch_container/training.py": source.read_text(), **job.files}
        environment = {**MODULE, "PYTHONPATH": "/opt/ml/code:/opt/shardyard/lib", **job.environment}
        job = dataclasses.replace(job, files=files, environment=environment)
    found = launch(client, image, launcher, job, base, to_the_end=not defect.early)
    last = [float(text) for text in re.findall(r"LAST (\d+\.\d+)", found.log)]
    seconds = max(found.ended.values()) - max(last) if last else 0.0
    return Ended(
        base / "algo-1", found.codes["algo-1"] if found.codes else 0, found.log.encode(), b"", seconds
    )


def _run_script(script: str, base: Path) -> Result:
    """With no /opt/ml, as on a machine that is no container."""
    base.mkdir()
    alone = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    command = [*alone, "sh", "-c", 'mount -t tmpfs none /opt && exec "$@"', "sh"]
    done = subprocess.run(
        [*command, str(python("sagemaker-training")), "-c", script],
        env=variables(base, {}),
        capture_output=True,
        timeout=60,
    )
    return Result(base, done.returncode, done.stdout, done.stderr)
