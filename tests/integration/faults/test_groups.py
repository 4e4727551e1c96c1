"""Three hosts, of which two form the group that the job is distributed over."""

from __future__ import annotations

import json
import re

import pytest

from tests.integration.faults.conftest import NewContainerJob

pytestmark = pytest.mark.testbed

GROUPS = [
    {"instance_group_name": "cpu", "instance_type": "ml.c5.xlarge", "hosts": ["algo-1"]},
    {"instance_group_name": "gpu", "instance_type": "ml.p4d.24xlarge", "hosts": ["algo-2", "algo-3"]},
]


def test_the_other_group_runs_plain_and_waits_for_nobody(new_container_job: NewContainerJob) -> None:
    names = [host for group in GROUPS for host in group["hosts"]]
    files = {
        host: {
            "input/config/resourceconfig.json": json.dumps(
                {
                    "current_host": host,
                    "hosts": names,
                    "network_interface_name": "eth0",
                    "current_group_name": group["instance_group_name"],
                    "instance_groups": GROUPS,
                }
            )
        }
        for group in GROUPS
        for host in group["hosts"]
    }
    script = """
        master = os.environ.get("MASTER_ADDR", "none")
        print("SEEN", rank, world.size, host, master, flush=True)
        sys.exit(5 if rank == 3 else 0) if world.size > 1 else None
    """
    job = new_container_job(
        script,
        hosts=3,
        hyperparameters={"sagemaker_distribution_instance_groups": '["gpu"]'},
        files=files,
    )
    job.start()
    report = job.finish()
    assert report.codes == {"algo-1": 0, "algo-2": 5, "algo-3": 5}, report.everything
    assert re.findall(r"SEEN (.*)", report.logs["algo-1"]) == ["0 1 algo-1 none"]
    said = sorted(re.findall(r"SEEN (.*)", report.logs["algo-2"]))
    assert said == [f"{n} 4 algo-{2 + n // 2} algo-2" for n in range(4)], report.everything
    assert report.failures["algo-1"] == ""
    assert report.failures["algo-3"].startswith("rank 3 on algo-3: SystemExit: exit code 5")
    assert all("LEFT BEHIND: []" in log for log in report.logs.values())
