"""As root and as another user, with Open MPI 4 of the distribution, 4 and 5 as wheels; facts of every rank."""

from __future__ import annotations

import json
import re

import pytest

from tests.integration.faults.conftest import NewContainerJob

pytestmark = pytest.mark.testbed

FACTS = """
    import json
    print("FACTS", json.dumps({
        "rank": rank, "user": os.getuid(), "host": host, "local": os.environ["SHARDYARD_LOCAL_RANK"],
        "hostname": json.loads(os.environ["SM_TRAINING_ENV"])["current_host"],
        "master": os.environ["MASTER_ADDR"], "interface": os.environ["NCCL_SOCKET_IFNAME"],
        "version": MPI.Get_library_version().split(",")[0],
    }), flush=True)
    world.Barrier()
    if rank == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    world.Barrier()
"""


@pytest.mark.parametrize("user", ["root", "trainer"])
@pytest.mark.parametrize(
    ("version", "images", "options"),
    [
        ("4.1.4", "runtime_image", ""),
        ("4.1.4", "runtime_image", "--map-by node"),
        ("4.1.8", "older_wheel_image", ""),
        ("5.0.11", "wheel_image", ""),
        ("5.0.11", "wheel_image", "--map-by node"),
    ],
)
def test_every_rank_on_its_host(
    new_container_job: NewContainerJob,
    request: pytest.FixtureRequest,
    user: str,
    version: str,
    images: str,
    options: str,
) -> None:
    hyperparameters = {"sagemaker_mpi_custom_mpi_options": json.dumps(options)}
    job = new_container_job(
        FACTS, request.getfixturevalue(images), options={"user": user}, hyperparameters=hyperparameters
    )
    job.start()
    report = job.finish()
    said = re.findall(
        r"^\[1,mpirank:(\d),(algo-\d)\]<stdout>:FACTS (.*)$", report.logs["algo-1"], re.MULTILINE
    )
    assert len(said) == 4, report.everything
    for rank, host, text in said:
        facts = json.loads(text)
        number = int(rank)
        where = number % 2 if options else number // 2
        expected = {
            "rank": number,
            "user": 0 if user == "root" else 1000,
            "host": f"algo-{where + 1}",
            "local": str(number // 2 if options else number % 2),
            "hostname": f"algo-{where + 1}",
            "master": "algo-1",
            "interface": "eth0",
        }
        assert facts.pop("version").startswith(f"Open MPI v{version}")
        assert facts == expected
        assert host == expected["host"]
    assert set(report.codes.values()) == {139}, report.everything
    for failure in report.failures.values():
        assert failure.startswith("rank 3 on algo-2: ended by signal 11 (SIGSEGV)"), report.everything
    assert all("LEFT BEHIND: []" in log for log in report.logs.values())
