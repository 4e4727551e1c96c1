"""Messages move while their sender computes, under the flags of a job and over TCP; tensors on links move as well."""

from __future__ import annotations

import pytest

from tests.integration.engine.launch import mpirun
from tests.integration.engine.remote_worker import CASES

FLAGS = {
    "default": ("--mca", "btl_vader_single_copy_mechanism", "none"),
    "tcp": ("--mca", "btl", "tcp,self"),
}


@pytest.mark.parametrize("flags", FLAGS)
def test_messages_move_while_the_sender_computes(flags: str) -> None:
    done = mpirun(2, "tests.integration.engine.transport_worker", options=FLAGS[flags], timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for what in ("arrived matmuls", "arrived python", "alike", "last"):
        assert done.stdout.count(f"{what} rank=") == 2


@pytest.mark.parametrize(
    ("ranks", "worker", "texts"),
    [
        (4, ("messages_worker",), ["group world ", "tensors ", "crossed "]),
        (3, ("remote_worker", "3"), [f"equal {use.__name__} " for use in CASES]),
    ],
)
def test_tensors_on_links(ranks: int, worker: tuple[str, ...], texts: list[str]) -> None:
    module, *arguments = worker
    engine = "tests.integration.engine"
    done = mpirun(ranks, f"{engine}.linked_worker", f"{engine}.{module}", *arguments, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for text in texts:
        assert done.stdout.count(text) == ranks
    assert done.stdout.count("linked ") == ranks
    assert "linked 0 tensors" not in done.stdout
