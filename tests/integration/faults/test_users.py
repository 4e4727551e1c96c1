"""As root and as another user, with Open MPI 4 of the distribution and 5 as a wheel; facts of every rank."""

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
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("options", ["", "--map-by node"])
def test_every_rank_on_its_host(
    new_container_job: NewContainerJob, wheel_image: str, user: str, version: int, options: str
) -> None:
    hyperparameters = {"sagemaker_mpi_custom_mpi_options": json.dumps(options)}
    chosen = {"image": wheel_image} if version == 5 else {}
    job = new_container_job(FACTS, options={"user": user}, hyperparameters=hyperparameters, **chosen)
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
