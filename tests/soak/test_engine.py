"""Parallel equals serial over the whole matrix of partitions, replicas, microbatches and schedules; the oldest torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments.environment import python
from tests.integration.engine import matrix
from tests.integration.engine.launch import mpirun
from tests.integration.engine.test_equality import check


@pytest.mark.parametrize("replicas", matrix.REPLICAS)
def test_the_whole_matrix(replicas: int, tmp_path: Path) -> None:
    check(replicas, matrix.everything(), tmp_path, timeout=3000)


@pytest.mark.parametrize("replicas", matrix.REPLICAS)
def test_the_oldest_torch_equals_serial(replicas: int, tmp_path: Path) -> None:
    check(replicas, matrix.pairwise(), tmp_path, timeout=3000, interpreter=python("oldest-torch"))


# fp16 is left out: torch 2.0 multiplies no such matrices on a CPU.
OLDEST = {
    "errors": (2, ['{{"microbatches": 4}}'], "broken "),
    "replicas": (4, [], "agreed "),
    "joining": (4, ["{folder}"], "buffers "),
    "remote": (3, ["3"], "moved "),
    "messages": (4, [], "crossed "),
    "clients": (4, ["{folder}"], "clients "),
    "state": (2, ["{folder}"], "refused "),
    "checkpoint": (4, ["train", "{folder}"], "resumed tied full "),
    "trace": (4, ["{folder}"], "traced rank="),
    "transport": (2, [], "last rank="),
}


@pytest.mark.parametrize("worker", OLDEST)
def test_the_oldest_torch_passes(worker: str, tmp_path: Path) -> None:
    ranks, arguments, text = OLDEST[worker]
    filled = [argument.format(folder=tmp_path) for argument in arguments]
    module = f"tests.integration.engine.{worker}_worker"
    done = mpirun(ranks, module, *filled, timeout=600, interpreter=python("oldest-torch"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert done.stdout.count(text) >= ranks


def test_the_oldest_torch_does_not_offload() -> None:
    """Its checkpointed regions keep their inputs out of reach: nothing would be offloaded."""
    parameters = '{"offload_activations": true}'
    module = "tests.integration.engine.memory_worker"
    done = mpirun(1, module, parameters, interpreter=python("oldest-torch"))
    assert done.returncode != 0
    assert "offload_activations: true needs torch 2.1 or newer, and this is 2.0" in done.stderr
