"""Secrets of a job on two hosts: in no process list, no file that others may read, and no line of the launcher."""

from __future__ import annotations

import json
import re

import pytest

from tests.integration.faults.conftest import NewContainerJob

pytestmark = pytest.mark.testbed

# Where each host looks for the markers: command lines of all its processes, and its files with their mode.
LOOK = """
import glob, stat
word = "mark" + "er-"

def holds(path):
    try:
        with open(path, "rb") as file:
            return word.encode() in file.read()
    except OSError:
        return False

if os.environ["SHARDYARD_LOCAL_RANK"] == "0":
    lines = [path for path in glob.glob("/proc/[0-9]*/cmdline") if holds(path)]
    places = ["/etc/environment", "/tmp", "/run", "/var/log", "/root", "/home", "/opt/ml/output"]
    files = [os.path.join(folder, name) for place in places for folder, _, names in os.walk(place) for name in names]
    open_ones = [path for path in files if os.path.isfile(path) and holds(path) and os.stat(path).st_mode & 0o077]
    print("LOOKED", host, len(lines), open_ones, flush=True)
print("GIVEN", [os.environ[name].startswith(word) for name in ("HF_TOKEN", "DB_PASSWORD", "SM_HP_API_KEY")], flush=True)
world.Barrier()
if rank == 2:
    raise RuntimeError(f"{os.environ['HF_TOKEN']} {os.environ['DB_PASSWORD']} {os.environ['SM_HP_API_KEY']}")
world.Barrier()
"""


@pytest.mark.parametrize("version", [4, 5])
def test_secrets_stay_where_they_are_needed(
    new_container_job: NewContainerJob, wheel_image: str, version: int
) -> None:
    chosen = {"image": wheel_image} if version == 5 else {}
    job = new_container_job(
        LOOK,
        hyperparameters={
            "api_key": '"marker-hyperparameter"',
            "mp_parameters": json.dumps({"partitions": 1, "auth_token": "marker-mp-parameter"}),
            "sagemaker_mpi_custom_mpi_options": json.dumps("-x HF_TOKEN=marker-option"),
        },
        environment={"DB_PASSWORD": "marker-environment", "USER": "somebody", "LOGNAME": "somebody"},
        **chosen,
    )
    job.start()
    report = job.finish()
    assert set(report.codes.values()) == {1}, report.everything
    looked = sorted(re.findall(r"LOOKED (.*)", report.logs["algo-1"]))
    assert looked == ["algo-1 0 []", "algo-2 0 []"], report.everything
    assert report.logs["algo-1"].count("GIVEN [True, True, True]") == 4
    for host, log in report.logs.items():
        own = [line for line in log.splitlines() if "mpirank" not in line]  # the rest is the program's
        assert not [line for line in own if "marker-" in line]
        assert report.failures[host].startswith("rank 2 on algo-2: RuntimeError: ****** ****** ******\n")
        assert "marker-" not in report.failures[host]
        assert "LEFT BEHIND: []" in log
