"""torchrun on two hosts of two ranks: the other faults, half a minute each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.integration.faults.job import ContainerJob
from tests.integration.faults.test_torchrun import WAIT, check

MEET = "dist.barrier()\n"


def wait_ready(job: ContainerJob) -> None:
    for host in job.names:
        job.wait_for("READY", job.per_host, host=host, timeout=120)


def test_torchrun_on_both_hosts_meets(new_job: Callable[..., ContainerJob]) -> None:
    job = new_job("dist.barrier()\ndist.destroy_process_group()\n")
    job.start()
    report = job.finish(timeout=120)
    assert set(report.codes.values()) == {0}, report.everything
    said = sorted(re.findall(r"READY (.*)", report.everything))
    assert said == [f"{rank} of 4 on algo-{rank // 2 + 1}, algo-1" for rank in range(4)], report.everything
    assert all("LEFT BEHIND: []" in log for log in report.logs.values())


@pytest.mark.parametrize("others", [MEET, WAIT], ids=["in a collective", "asleep"])
def test_torchrun_with_a_rank_that_fails(new_job: Callable[..., ContainerJob], others: str) -> None:
    job = new_job(f"if rank == 3:\n    fault()\n    sys.exit(9)\n{others}")
    job.start()
    report = job.finish(timeout=120)
    at = float(re.findall(r"FAULT ([\d.]+)", report.logs["algo-2"])[0])
    check(report, 9, "rank 3 on algo-2: SystemExit: exit code 9\n", at)


@pytest.mark.parametrize("rank", [1, 2])
def test_torchrun_with_a_rank_that_is_killed(new_job: Callable[..., ContainerJob], rank: int) -> None:
    job = new_job(f"if rank == {rank}:\n    fault()\n    os.kill(os.getpid(), 9)\n{WAIT}")
    job.start()
    report = job.finish(timeout=120)
    host = f"algo-{rank // 2 + 1}"
    at = float(re.findall(r"FAULT ([\d.]+)", report.logs[host])[0])
    check(report, 137, rf"rank {rank} on {host}: ended by signal 9 \(SIGKILL\)", at)


@pytest.mark.parametrize("lost", ["algo-1", "algo-2"])
def test_torchrun_with_a_container_that_is_killed(new_job: Callable[..., ContainerJob], lost: str) -> None:
    job = new_job(WAIT)
    job.start()
    wait_ready(job)
    at = time.time()
    job.containers[lost].kill()
    check(job.finish(timeout=60), 1, f"host {lost} left the job: its control connection closed", at, (lost,))


def test_torchrun_and_sigterm_reaches_the_ranks_of_both_hosts(new_job: Callable[..., ContainerJob]) -> None:
    save = "def save(*_):\n    print(f'CHECKPOINT {rank};', flush=True)\n    sys.exit(0)\n"
    job = new_job(f"{save}signal.signal(signal.SIGTERM, save)\nprint('SET', flush=True)\n{WAIT}")
    job.start()
    for host in job.names:
        job.wait_for("SET", 2, host=host, timeout=120)
    at = time.time()
    job.containers["algo-2"].kill(signal="SIGTERM")
    report = job.finish(timeout=60)
    check(report, 143, "SIGTERM reached the launcher on algo-2, so the job was stopped", at)
    assert sorted(re.findall(r"CHECKPOINT (\d)", report.everything)) == ["0", "1", "2", "3"], (
        report.everything
    )
