"""Jobs with MPI through sagemaker-training and through ours, in containers: every rank sees the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import docker
import pytest

from benchmarks.launch import image
from tests.integration.faults.conftest import client, settings  # noqa: F401
from tests.integration.parity import known, mpi_trees
from tests.integration.parity.containers import MpiResult, MpiTree, launch
from tests.integration.parity.seen import differences
from tests.testbed.settings import Settings

pytestmark = pytest.mark.testbed


@pytest.fixture(scope="module")
def both_image(client: docker.DockerClient, settings: Settings) -> str:  # noqa: F811
    return image.build(client, settings)


@pytest.fixture(scope="module")
def runs(
    client: docker.DockerClient,  # noqa: F811
    both_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, tuple[Future[MpiResult], Future[MpiResult]]]]:
    """The incumbent's jobs are left as soon as their ranks have told: what follows is its half a minute of sleep."""
    folder = tmp_path_factory.mktemp("mpi")

    def run(launcher: str, tree: MpiTree) -> MpiResult:
        place = folder / launcher / tree.name.replace(" ", "-")
        return launch(client, both_image, launcher, tree, place, to_the_end=launcher == "ours")

    with ThreadPoolExecutor(4) as pool:
        yield {
            tree.name: (pool.submit(run, "theirs", tree), pool.submit(run, "ours", tree))
            for tree in mpi_trees.FEW
        }


@pytest.mark.parametrize("tree", mpi_trees.FEW, ids=lambda tree: tree.name)
def test_every_rank_sees_the_same(
    runs: dict[str, tuple[Future[MpiResult], Future[MpiResult]]], tree: MpiTree
) -> None:
    theirs, ours = (future.result() for future in runs[tree.name])
    compare(tree, theirs, ours)
    assert set(ours.codes.values()) == {0}, ours.log


def compare(tree: MpiTree, theirs: MpiResult, ours: MpiResult) -> None:
    one, other = theirs.ranks(), ours.ranks()
    assert len(one) == len(other) == tree.ranks, ours.log
    assert one.keys() == other.keys()
    left = {
        f"{rank}: {place}": values
        for rank, seen in one.items()
        for place, values in differences(seen, other[rank]).items()
        if known.explain_rank(place, values) is None
    }
    assert not left, ours.log
    hosts = {rank: rank.partition("/")[0] for rank in other}
    assert {rank: seen["environment"]["SM_CURRENT_HOST"] for rank, seen in other.items()} == hosts


def test_the_documentation_lists_every_difference_under_mpi() -> None:
    assert known.documented("Differences under MPI") == {item.name for item in known.KNOWN_OF_RANKS}
