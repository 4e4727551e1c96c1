"""One rank of 2 partitions x 2 replicas: one replica fails and catches it, and no other waits for its gradients."""

from __future__ import annotations

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp


def main() -> None:
    smp.init({"partitions": 2, "microbatches": 2, "ddp": True})
    torch.manual_seed(0)
    model = smp.DistributedModel(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)))

    @smp.step
    def train(model: nn.Module, x: torch.Tensor, fails: bool) -> torch.Tensor:
        loss = model(x).square().mean()
        if fails:
            raise ValueError("a bad sample")
        model.backward(loss)
        return loss

    for attempt, fails in enumerate([False, True, False, True, True, False]):
        for parameter in model.local_parameters():
            parameter.grad = None
        x = torch.randn(4, 4, generator=torch.Generator().manual_seed(10 * attempt + smp.dp_rank()))
        try:
            train(model, x, fails and smp.dp_rank() == 1)
            raised = ""
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
        if not fails:
            assert raised == ""
            # Equal gradients on the replicas: both took part in the same reduction.
            mine = [p.grad for p in model.local_parameters()]
            assert mine
            assert all(g is not None for g in mine)
            for other in smp.allgather(mine, smp.DP_GROUP):
                assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
        elif smp.dp_rank() == 0:
            assert "PeerFailed: the replica of rank" in raised
            assert "a bad sample" in raised
        else:
            assert "ValueError: a bad sample" in raised
    print(f"agreed rank={smp.rank()}", flush=True)


if __name__ == "__main__":
    main()
