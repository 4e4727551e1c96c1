"""torchrun on two hosts: the ranks of both meet, and a failure on one of them ends both, with its cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.faults.conftest import NewContainerJob
from tests.integration.faults.job import ContainerJob, Report

pytestmark = pytest.mark.testbed

PRELUDE = """
import os, signal, sys, time
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, host = dist.get_rank(), os.environ["SM_CURRENT_HOST"]
total = torch.ones(1)
dist.all_reduce(total)

def fault():
    print("FAULT", time.time(), flush=True)

print(f"READY {rank} of {int(total)} on {host}, {os.environ['MASTER_ADDR']}", flush=True)
"""
TORCHRUN = {"sagemaker_mpi_enabled": "false", "sagemaker_torch_distributed_enabled": "true"}
BOUND = 10.0  # torchrun itself looks at its processes every 0.1 s, and imports torch to end
WAIT = "time.sleep(120)\n"


@pytest.fixture
def new_job(new_container_job: NewContainerJob) -> Callable[..., ContainerJob]:
    def make(script: str, **options: Any) -> ContainerJob:
        environment = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "eth0", **options.pop("environment", {})}
        return new_container_job(
            script, prelude=PRELUDE, hyperparameters=TORCHRUN, environment=environment, **options
        )

    return make


def check(report: Report, code: int, text: str, at: float, spared: tuple[str, ...] = ()) -> None:
    others = [name for name in report.logs if name not in spared]
    assert {name: report.codes.get(name) for name in others} == dict.fromkeys(others, code), report.everything
    for name in others:
        assert re.match(text, report.failures[name]), f"{report.failures[name]}\n{report.everything}"
        assert "LEFT BEHIND: []" in report.logs[name], report.everything
    assert max(report.ended[name] for name in others) - at <= BOUND, report.everything


def test_both_hosts_meet_and_a_rank_that_fails_ends_both(new_job: Callable[..., ContainerJob]) -> None:
    """The others sleep, so that nothing but the launcher can tell them."""
    job = new_job(f"if rank == 1:\n    fault()\n    sys.exit(9)\n{WAIT}", per_host=1)
    job.start()
    report = job.finish(timeout=120)
    said = sorted(re.findall(r"READY (.*)", report.everything))
    assert said == [f"{rank} of 2 on algo-{rank + 1}, algo-1" for rank in range(2)], report.everything
    at = float(re.findall(r"FAULT ([\d.]+)", report.logs["algo-2"])[0])
    check(report, 9, "rank 1 on algo-2: SystemExit: exit code 9\n", at)


def test_a_host_that_cannot_prepare(new_job: Callable[..., ContainerJob]) -> None:
    job = new_job(WAIT, environment={"SAGEMAKER_PROGRAM": "go.py"}, files={"algo-1": {"code/go.py": "pass"}})
    job.start()
    report = job.finish(timeout=60)
    assert set(report.codes.values()) == {2}, report.everything
    for failure in report.failures.values():
        assert re.match(r"(algo-2: )?Entry point 'go.py' is not in", failure), report.everything
