"""A moto in this process, whose training jobs run until the test ends them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.core.responses import EmptyResult
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.sagemaker.models import FakeTrainingJob, sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse

from tests.integration.sagemaker.aws import REGION, client_environment
from tests.integration.sagemaker.submission import LOG_GROUP, Clients, clients

ACCOUNT = "123456789012"
WAIT_S = 120


class PlayedAws:
    """SageMaker's and CloudWatch's side of a job."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.environment = client_environment(endpoint, folder)
        self.clients: Clients = clients(self.environment)

    @property
    def jobs(self) -> dict[str, FakeTrainingJob]:
        return dict(sagemaker_backends[ACCOUNT][REGION].training_jobs)

    def job(self, name: str) -> FakeTrainingJob:
        return self.jobs[name]

    def only_job(self) -> str:
        """The name of the job that comes, or is there."""
        give_up = time.monotonic() + WAIT_S
        while time.monotonic() < give_up:
            if self.jobs:
                (name,) = self.jobs
                return name
            time.sleep(0.05)
        raise AssertionError("no job came")

    def write(self, job: str, host: str, *messages: str) -> None:
        where = {"logGroupName": LOG_GROUP, "logStreamName": f"{job}/{host}-1700000000"}
        logs = self.clients.logs
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=LOG_GROUP)
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(**where)
        now = int(time.time() * 1000)
        logs.put_log_events(**where, logEvents=[{"timestamp": now, "message": one} for one in messages])

    def end(self, job: str, status: str, reason: str = "") -> None:
        ended = self.job(job)
        if reason:
            ended.failure_reason = reason
        ended.secondary_status = status
        ended.training_job_status = status


@contextlib.contextmanager
def played(folder: Path) -> Iterator[PlayedAws]:
    """moto ends each job as it makes it, and knows no StopTrainingJob: both are added for the block's time."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        _long_running(patch)
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield PlayedAws(f"http://{host}:{port}", folder)
        finally:
            server.stop()
            sagemaker_backends[ACCOUNT][REGION].reset()


def _long_running(patch: pytest.MonkeyPatch) -> None:
    make = FakeTrainingJob.__init__

    def start(job: FakeTrainingJob, *args: Any, **options: Any) -> None:
        make(job, *args, **options)
        job.training_job_status = job.secondary_status = "InProgress"

    def stop(response: SageMakerResponse) -> EmptyResult:
        job = response.sagemaker_backend.training_jobs[response._get_param("TrainingJobName")]
        job.training_job_status = job.secondary_status = "Stopping"
        return EmptyResult()

    patch.setattr(FakeTrainingJob, "__init__", start)
    patch.setattr(SageMakerResponse, "stop_training_job", stop, raising=False)
