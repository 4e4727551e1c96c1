"""One rank of the object messages' test: four ranks, two partitions."""

from __future__ import annotations

import time

import pytest
import torch

import smdistributed.modelparallel.torch as smp
from smdistributed.modelparallel.torch import CommGroup, RankType

KINDS = {
    "world": (smp.rank, smp.size, lambda: list(range(smp.size()))),
    "pp": (smp.pp_rank, smp.pp_size, smp.get_pp_group),
    "tp": (smp.tp_rank, smp.tp_size, smp.get_tp_group),
    "rdp": (smp.rdp_rank, smp.rdp_size, smp.get_rdp_group),
    "dp": (smp.dp_rank, smp.dp_size, smp.get_dp_group),
    "mp": (smp.mp_rank, smp.mp_size, smp.get_mp_group),
}


def over_group(name: str) -> None:
    mine_of, size_of, members_of = KINDS[name]
    mine, size, members = mine_of(), size_of(), members_of()
    group, kind = CommGroup(name), RankType(name)
    assert members[mine] == smp.rank()
    assert len(members) == size

    assert smp.allgather({"rank": smp.rank()}, group) == [{"rank": r} for r in members]

    # A ring, three messages each: in the order in which they were sent, from the rank that was asked.
    if size > 1:
        for number in range(3):
            smp.send((smp.rank(), number), (mine + 1) % size, kind)
        left = (mine - 1) % size
        assert [smp.recv_from(left, kind) for _ in range(3)] == [(members[left], n) for n in range(3)]

    # Each member broadcasts; the others take it by its rank in the group, last sender first.
    smp.broadcast(("from", smp.rank()), group)
    for other in reversed(range(size)):
        if other != mine:
            assert smp.recv_from(other, kind) == ("from", members[other])

    # A barrier returns to nobody before the last one has come.
    if mine == size - 1:
        time.sleep(0.3)
    entered = time.time()
    smp.barrier(group)
    left_at = time.time()
    times = smp.allgather((entered, left_at), group)
    assert max(e for e, _ in times) <= min(x for _, x in times), times
    with pytest.raises(ValueError, match=f"rank {size} is outside the {name} group"):
        smp.send(None, size, kind)
    print(f"group {name} rank={smp.rank()}", flush=True)


def tensors() -> None:
    made = torch.Generator().manual_seed(3)
    half = torch.randn(3, 5, generator=made).to(torch.bfloat16)
    big = torch.randn(1_000_000, generator=made)
    sent = {
        "half": half,
        "turned": half.t(),
        "again": [half, (torch.tensor(7), torch.empty(0, 4, dtype=torch.int8))],
        "grad": torch.ones(2, requires_grad=True),
        "big": big,
        "text": "plain",
    }
    if smp.rank() == 0:
        for other in range(1, smp.size()):
            smp.send(sent, other)
            smp.send("small one after a big one", other)
        return
    got = smp.recv_from(0)
    assert list(got) == list(sent)
    assert got["half"].dtype == torch.bfloat16
    assert torch.equal(got["half"], half)
    assert torch.equal(got["turned"], half.t())
    assert got["again"][0] is got["half"]
    assert got["again"][1][0].item() == 7
    assert got["again"][1][0].dim() == 0
    assert got["again"][1][1].shape == (0, 4)
    assert got["again"][1][1].dtype == torch.int8
    assert torch.equal(got["grad"], torch.ones(2))
    assert torch.equal(got["big"], big)
    assert got["text"] == "plain"
    assert smp.recv_from(0) == "small one after a big one"


def crossed() -> None:
    """Everyone sends to everyone before anyone takes anything, large and small."""
    others = [r for r in range(smp.size()) if r != smp.rank()]
    sizes = [1, 300_000, 7, 100_000, 0, 50_000]
    for size in sizes:
        for peer in others:
            smp.send(torch.full((size,), float(smp.rank())), peer)
    for peer in reversed(others):
        for size in sizes:
            assert torch.equal(smp.recv_from(peer), torch.full((size,), float(peer)))
    print(f"crossed rank={smp.rank()}", flush=True)


def main() -> None:
    smp.init({"partitions": 2, "ddp": True})
    for name in KINDS:
        over_group(name)
    tensors()
    crossed()
    smp.pp_barrier()
    smp.dp_barrier()
    smp.barrier()
    print(f"tensors rank={smp.rank()}", flush=True)


if __name__ == "__main__":
    main()
