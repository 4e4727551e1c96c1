"""Hosts in groups of different instances: one group is distributed over, the others run the program by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from job import Job

SAY = """
    import json, os
    from mpi4py import MPI
    seen = json.loads(os.environ["SM_TRAINING_ENV"])
    print("SEEN", json.dumps([MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size, seen["current_host"], seen["is_master"],
          seen["master_hostname"], seen["distribution_hosts"], seen["is_hetero"]]), flush=True)
"""


def group(name: str, *hosts: str) -> dict[str, Any]:
    return {"instance_group_name": name, "instance_type": f"ml.{name}", "hosts": list(hosts)}


@dataclass
class GroupedJob(Job):
    groups: list[dict[str, Any]] = field(default_factory=list)

    def _lay_out(self, name: str, names: list[str], base: Path) -> None:
        super()._lay_out(name, names, base)
        path = base / "input" / "config" / "resourceconfig.json"
        own = next(group["instance_group_name"] for group in self.groups if name in group["hosts"])
        resource = {**json.loads(path.read_text()), "instance_groups": self.groups, "current_group_name": own}
        path.write_text(json.dumps(resource))


@pytest.fixture
def jobs() -> Iterator[list[Job]]:
    made: list[Job] = []
    yield made
    for job in made:
        job.kill()


def seen(log: str) -> list[list[Any]]:
    return sorted(json.loads(line.partition("SEEN ")[2]) for line in log.splitlines() if "SEEN " in line)


def test_one_group_is_distributed_and_the_others_run_plain(tmp_path: Path, jobs: list[Job]) -> None:
    groups = [group("cpu", "algo-1"), group("gpu", "algo-3", "algo-2")]
    chosen = {"sagemaker_distribution_instance_groups": '["gpu"]'}
    jobs.append(GroupedJob(tmp_path, SAY, hosts=3, hyperparameters=chosen, groups=groups))
    result = jobs[0].run()
    assert result.exit_codes == [0, 0, 0], result.logs
    members = ["algo-3", "algo-2"]
    assert seen(result.logs[0]) == [[0, 1, "algo-1", False, "algo-3", members, True]]
    assert seen(result.logs[1]) == []
    places = ["algo-3", "algo-3", "algo-2", "algo-2"]
    expected = [[n, 4, host, host == "algo-3", "algo-3", members, True] for n, host in enumerate(places)]
    assert seen(result.logs[2]) == expected


def test_without_a_name_each_group_is_a_run_of_its_own(tmp_path: Path, jobs: list[Job]) -> None:
    groups = [group("a", "algo-1", "algo-2"), group("b", "algo-3")]
    jobs.append(GroupedJob(tmp_path, SAY, hosts=3, per_host=1, groups=groups))
    result = jobs[0].run()
    assert result.exit_codes == [0, 0, 0], result.logs
    first, second = ["algo-1", "algo-2"], ["algo-3"]
    assert seen(result.logs[0]) == [
        [0, 2, "algo-1", True, "algo-1", first, True],
        [1, 2, "algo-2", False, "algo-1", first, True],
    ]
    assert seen(result.logs[2]) == [[0, 1, "algo-3", True, "algo-3", second, True]]


@pytest.mark.parametrize("failing", ["plain", "rank 1"])
def test_each_part_tells_its_own_end(tmp_path: Path, jobs: list[Job], failing: str) -> None:
    script = f"""
        import os, sys
        from mpi4py import MPI
        plain = os.environ["SM_CURRENT_HOST"] == "algo-1"
        if ("plain" if plain else f"rank {{MPI.COMM_WORLD.rank}}") == {failing!r}:
            sys.exit(9)
        MPI.COMM_WORLD.Barrier()
    """
    groups = [group("cpu", "algo-1"), group("gpu", "algo-2", "algo-3")]
    chosen = {"sagemaker_distribution_instance_groups": '"gpu"'}
    jobs.append(GroupedJob(tmp_path, script, hosts=3, per_host=1, hyperparameters=chosen, groups=groups))
    result = jobs[0].run()
    assert result.exit_codes == ([9, 0, 0] if failing == "plain" else [0, 9, 9]), result.logs
    told = [text.partition(": ")[0] for text in result.failures]
    assert told == (["rank 0 on algo-1", "", ""] if failing == "plain" else ["", *["rank 1 on algo-3"] * 2])
