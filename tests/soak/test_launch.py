"""1 GB of output without loss, kills at any moment, the incumbent's defects, and parity with it under MPI."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import docker
import pytest

from tests.integration.faults.conftest import (  # noqa: F401
    NewContainerJob,
    client,
    new_container_job,
    runtime_image,
    settings,
)
from tests.integration.faults.test_output import send_much
from tests.integration.faults.test_torchrun import new_job  # noqa: F401
from tests.integration.parity import mpi_trees
from tests.integration.parity.containers import MpiResult, MpiTree, launch
from tests.integration.parity.test_mpi_parity import both_image, compare  # noqa: F401
from tests.soak.launch_defects import DEFECTS, Defect
from tests.soak.launch_torchrun import (  # noqa: F401
    test_torchrun_and_sigterm_reaches_the_ranks_of_both_hosts,
    test_torchrun_on_both_hosts_meets,
    test_torchrun_with_a_container_that_is_killed,
    test_torchrun_with_a_rank_that_fails,
    test_torchrun_with_a_rank_that_is_killed,
)
from tests.soak.run_defect import run_defect

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


@pytest.mark.parametrize("launcher", ["theirs", "ours"])
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_theirs_alone(
    client: docker.DockerClient,  # noqa: F811
    both_image: str,  # noqa: F811
    tmp_path: Path,
    defect: Defect,
    launcher: str,
) -> None:
    result = run_defect(defect, launcher, tmp_path / "job", client, both_image)
    about = f"exit code {result.exit_code}\n{result.failure}\n{result.log[-5000:]}"
    assert defect.shows(result) == (launcher == "theirs"), about
    assert defect.right(result) == (launcher == "ours"), about


@pytest.fixture(scope="module")
def ends(
    client: docker.DockerClient,  # noqa: F811
    both_image: str,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, tuple[Future[MpiResult], Future[MpiResult]]]]:
    """Every tree to its end, for which the incumbent takes half a minute and more."""
    folder = tmp_path_factory.mktemp("ends")

    def run(launcher: str, tree: MpiTree) -> MpiResult:
        place = folder / launcher / tree.name.replace(" ", "-")
        return launch(client, both_image, launcher, tree, place, to_the_end=True)

    with ThreadPoolExecutor(6) as pool:
        yield {
            tree.name: (pool.submit(run, "theirs", tree), pool.submit(run, "ours", tree))
            for tree in mpi_trees.MANY
        }


@pytest.mark.parametrize("tree", mpi_trees.MANY, ids=lambda tree: tree.name)
def test_every_rank_sees_the_same(
    ends: dict[str, tuple[Future[MpiResult], Future[MpiResult]]], tree: MpiTree
) -> None:
    theirs, ours = (future.result() for future in ends[tree.name])
    compare(tree, theirs, ours)
    succeeded = [{name: code == 0 for name, code in result.codes.items()} for result in (theirs, ours)]
    assert succeeded[0] == succeeded[1], ours.log
