"""The testbed's engine, the images, and a few faults at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import docker
import pytest

from tests.integration.faults import image
from tests.integration.faults.job import ContainerJob
from tests.testbed import base, lifecycle, requirements
from tests.testbed.settings import Settings, load

AT_ONCE = max(2, min(4, os.cpu_count() or 2))
measured: list[str] = []
NewContainerJob = Callable[..., ContainerJob]


@pytest.fixture(scope="session")
def settings() -> Iterator[Settings]:
    reason = requirements.reason_against()
    if reason:
        pytest.skip(reason)
    where = load()
    where.make_folders()
    base.prepare(where)
    with lifecycle.attached(where) as pid:
        base.ensure(where, pid)
        yield where


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[docker.DockerClient]:
    opened = docker.DockerClient(base_url=settings.docker_host, timeout=120, max_pool_size=64)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def runtime_image(client: docker.DockerClient, settings: Settings) -> str:
    return image.build(client, settings)


@pytest.fixture(scope="session")
def wheel_image(client: docker.DockerClient, settings: Settings) -> str:
    return image.build(client, settings, wheel=5)


@pytest.fixture(scope="session")
def older_wheel_image(client: docker.DockerClient, settings: Settings) -> str:
    return image.build(client, settings, wheel=4)


@pytest.fixture
def new_container_job(client: docker.DockerClient, runtime_image: str) -> Iterator[NewContainerJob]:
    jobs: list[ContainerJob] = []

    def make(script: str, image: str = runtime_image, **options: Any) -> ContainerJob:
        jobs.append(ContainerJob(client, image, script, **options))
        return jobs[-1]

    yield make
    for job in jobs:
        job.remove()


@pytest.fixture(scope="session")
def started(request: pytest.FixtureRequest, client: docker.DockerClient, runtime_image: str) -> Iterator[Any]:
    """The results to come of all faults that are selected, a few running at any time."""
    from tests.integration.faults.matrix import Fault
    from tests.integration.faults.run import run_fault

    pool = ThreadPoolExecutor(AT_ONCE)
    futures: dict[str, Future[Any]] = {}
    for item in request.session.items:
        parameters = getattr(item, "callspec", None)
        fault = parameters.params.get("fault") if parameters else None
        if isinstance(fault, Fault):
            futures[fault.name] = pool.submit(run_fault, client, runtime_image, fault)
    yield futures
    pool.shutdown(cancel_futures=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if measured:
        terminalreporter.section("faults: bound, measured seconds, exit code, first line of the failure")
        for line in measured:
            terminalreporter.write_line(line)
