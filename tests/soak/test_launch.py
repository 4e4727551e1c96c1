"""1 GB of output without loss, and kills at any moment, from before the hosts have met to after the ranks have."""

from __future__ import annotations

import random
import re
import time

import pytest

from tests.integration.faults.conftest import (  # noqa: F401
    NewContainerJob,
    client,
    new_container_job,
    runtime_image,
    settings,
)
from tests.integration.faults.test_output import send_much

pytestmark = pytest.mark.testbed
VICTIMS = ["orted", "mpirun", "sshd", "shardyard_runtime.launch.rank", "bin/train"]


def test_a_gigabyte_of_output(new_container_job: NewContainerJob) -> None:  # noqa: F811
    send_much(new_container_job, megabytes=1000)


@pytest.mark.parametrize("seed", range(40))
def test_a_kill_at_any_moment(new_container_job: NewContainerJob, seed: int) -> None:  # noqa: F811
    """Who dies, where and when is drawn; all hosts end in time, with one story, and leave nothing running."""
    draw = random.Random(seed)
    job = new_container_job(
        "world.Barrier()\ntime.sleep(6)", hosts=3, environment={"SHARDYARD_HOST_TIMEOUT": "10"}
    )
    job.start()
    time.sleep(draw.uniform(0, 4))  # the moment is the fault's
    host, victim = draw.choice(job.names), draw.choice([*VICTIMS, "container"])
    at = time.time()
    if victim == "container":
        job.containers[host].kill()
        hit = True
    else:
        killed = job.run_in(
            host, f"pgrep -f '{victim}' | grep -vx $$ | tee /tmp/killed | xargs -r kill -9; cat /tmp/killed"
        )
        hit = bool(killed.strip())
    report = job.finish(timeout=60)
    others = {name: code for name, code in report.codes.items() if name != host}
    assert len(report.codes) == 3, report.everything
    assert len(set(others.values())) == 1, report.everything
    assert max(report.ended.values()) - at < 10 + 5 + 6, report.everything
    for name in others:
        assert "LEFT BEHIND: []" in report.logs[name], report.everything
        if others[name]:
            assert re.match(r"(host|rank|mpirun|Host|algo)", report.failures[name]), report.failures[name]
    if not hit:
        assert set(report.codes.values()) == {0}, report.everything
