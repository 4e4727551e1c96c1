from __future__ import annotations

from typing import Any

import pytest

from shardyard.sagemaker.sdk_v2 import past_refusals

MPI = {"enabled": True, "processes_per_host": 8}
TYPE = "ml.p4d.24xlarge"


def block(enabled: bool = True, **parameters: Any) -> dict[str, Any]:
    return {
        "smdistributed": {"modelparallel": {"enabled": enabled, "parameters": parameters}},
        "mpi": dict(MPI),
    }


@pytest.mark.parametrize(
    "distribution",
    [
        block(partitions=2, default_partition=1, placement_strategy="spread"),
        block(False, placement_strategy="DPT"),
        {"mpi": MPI},
        {"smdistributed": {"dataparallel": {"enabled": True}}},
        {},
    ],
)
def test_what_the_sdk_takes_stays(distribution: dict[str, Any]) -> None:
    assert past_refusals(distribution, [TYPE]) == (distribution, {})


@pytest.mark.parametrize(
    ("parameters", "instance_type"),
    [
        ({"placement_strategy": "DPT"}, TYPE),
        ({"pipeline_parallel_degree": 2, "default_partition": 0}, TYPE),
        ({"partitions": 2}, "ml.p5.48xlarge"),
    ],
)
def test_what_it_refuses_goes_as_a_hyperparameter(parameters: dict[str, Any], instance_type: str) -> None:
    given = block(**parameters)
    assert past_refusals(given, [TYPE, instance_type]) == ({"mpi": MPI}, {"mp_parameters": parameters})
    assert given == block(**parameters)


def test_a_disabled_block_on_a_refused_type_leaves_nothing() -> None:
    assert past_refusals(block(False, partitions=2), ["ml.p5.48xlarge"]) == ({"mpi": MPI}, {})
