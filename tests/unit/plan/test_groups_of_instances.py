from __future__ import annotations

from pathlib import Path

import pytest

from shardyard.plan.findings import all_findings
from shardyard.project.load import load

GROUPS = """
[[job.instance_groups]]
name = "feeders"
instance_type = "ml.c5.18xlarge"
[[job.instance_groups]]
name = "trainers"
instance_type = "ml.p4d.24xlarge"
instance_count = 2
"""
MPI = "[distribution.mpi]\nenabled = true\nprocesses_per_host = 8\n"
PARALLEL = (
    "[distribution.smdistributed.modelparallel]\nenabled = true\nparameters = {partitions = 2, ddp = true}\n"
)
CHOSEN = '[distribution]\ninstance_groups = ["trainers"]\n'


def found(folder: Path, sections: str) -> dict[str, str]:
    (folder / "train.py").write_text("")
    (folder / "shardyard.toml").write_text(f'[image]\nname = "p"\n{sections}')
    mine = ("instance-group", "instance-type", "no-gpu", "arithmetic", "too-many-processes")
    return {one.where: str(one) for one in all_findings(load(folder)) if one.code in mine}


def test_the_group_that_trains_is_what_counts(tmp_path: Path) -> None:
    assert found(tmp_path, CHOSEN + MPI + PARALLEL + GROUPS) == {}
    three = PARALLEL.replace("partitions = 2", "partitions = 3")
    assert "instance_count 2 = 16 processes" in " ".join(
        found(tmp_path, CHOSEN + MPI + three + GROUPS).values()
    )


def test_a_job_that_is_not_distributed_may_have_any(tmp_path: Path) -> None:
    assert found(tmp_path, GROUPS) == {}


@pytest.mark.parametrize(
    ("sections", "where", "says"),
    [
        (CHOSEN.replace("trainers", "trainer") + MPI + GROUPS, "distribution.instance_groups", "'trainers'?"),
        (CHOSEN + GROUPS, "distribution.instance_groups", "without a strategy"),
        (MPI + GROUPS, "distribution.instance_groups", "0 of 2 groups named"),
        (CHOSEN + MPI + "[job]\ninstance_count = 3\n" + GROUPS, "job.instance_count", "remove it"),
        (CHOSEN + MPI + GROUPS.replace("feeders", "trainers"), "job.instance_groups", "several groups"),
        (CHOSEN + MPI + GROUPS.replace("c5.18x", "c5.8x"), "job.instance_groups", "did you mean"),
    ],
)
def test_what_is_wrong_with_groups(tmp_path: Path, sections: str, where: str, says: str) -> None:
    assert says in found(tmp_path, sections)[where]
