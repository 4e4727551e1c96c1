"""One rank, of 2 partitions x 2 replicas: buckets of gradients that leave during the backward, and what may go wrong then."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

import smdistributed.modelparallel.torch as smp
from tests.integration.engine.equality_worker import close

BATCH, COUNT = 8, 2
Path = str  # the parts that a batch goes through, one letter each
SMALL = 1e-4  # MiB: a bucket for every parameter or two


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.near, self.last = nn.Linear(8, 8), nn.Linear(8, 4)
        self.parts = nn.ModuleDict({name: nn.Linear(8, 8) for name in "abcd"})

    def forward(self, x: torch.Tensor, path: Path) -> torch.Tensor:
        x = self.near(x)
        for name in path:
            x = torch.tanh(self.parts[name](x))
        return self.last(x)


class Failure(Exception):
    """Raised by the last microbatch of a step where it comes last in its backward."""

    left = 0  # microbatches that have not come so far; 0 where none is to fail


@smp.step
def train(model: Any, x: torch.Tensor, y: torch.Tensor, path: Path) -> torch.Tensor:
    if Failure.left:
        x = x.clone().requires_grad_()
        x.register_hook(fail)
    loss = nn.functional.cross_entropy(model(x, path), y)
    model.backward(loss)
    return loss


def fail(gradient: torch.Tensor) -> None:
    Failure.left -= 1
    if not Failure.left:
        raise Failure("in the last backward")


@smp.step
def train_near(model: Any, x: torch.Tensor) -> torch.Tensor:
    loss = model.get_module().near(x).square().mean() if smp.pp_rank() == 0 else x.sum()
    model.backward(loss)
    return loss


class Launched:
    """Counts the reductions of gradients that are launched inside a step's backward."""

    def __init__(self) -> None:
        self.early = 0
        self._all_reduce = dist.all_reduce
        dist.all_reduce = self._counted

    def _counted(self, *args: Any, **kwargs: Any) -> Any:
        self.early += kwargs.get("group") is smp.state.live.reductions and smp.state.live.engine.in_step
        return self._all_reduce(*args, **kwargs)

    def since(self) -> int:
        count, self.early = self.early, 0
        return count


class Pair:
    """A parallel model and the serial one, both of which make every step."""

    def __init__(self, launched: Launched, **options: Any) -> None:
        torch.manual_seed(4)
        net = Net()
        self.serial = copy.deepcopy(net)
        for name in "bd":
            smp.set_partition(net.parts[name], 1)
        smp.set_partition(net.last, 1)
        smp.state.model = smp.state.optimizer = None
        self.model = smp.DistributedModel(net, bucket_cap_mb=SMALL, **options)
        self.optimizer = smp.DistributedOptimizer(torch.optim.SGD(self.model.parameters(), 0.1))
        self.expected = torch.optim.SGD(self.serial.parameters(), 0.1)
        self.number = 0
        self._launched = launched

    def batches(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        self.number += 1
        draw = torch.Generator().manual_seed(self.number)
        return [
            (torch.randn(BATCH, 8, generator=draw), torch.randint(0, 4, (BATCH,), generator=draw))
            for _ in range(smp.dp_size())
        ]

    def step(self, paths: Sequence[Path], set_to_none: bool = True) -> int:
        """One step, ``paths`` of each replica; the number of buckets that left during the backward."""
        batches = self.batches()
        self.optimizer.zero_grad(set_to_none=set_to_none)
        self.expected.zero_grad()
        self._launched.since()
        train(self.model, *batches[smp.dp_rank()], paths[smp.dp_rank()])
        early = self._launched.since()
        for (x, y), path in zip(batches, paths, strict=True):
            for part_x, part_y in zip(x.chunk(COUNT), y.chunk(COUNT), strict=True):
                loss = nn.functional.cross_entropy(self.serial(part_x, path), part_y)
                (loss / COUNT / len(paths)).backward()
        self.equal()
        self.optimizer.step()
        self.expected.step()
        return early

    def equal(self) -> None:
        theirs = dict(self.serial.named_parameters())
        for name, p in self.model.local_named_parameters():
            right = theirs[name].grad
            if right is None:
                assert p.grad is None or not p.grad.any(), (self.number, name)
            else:
                assert p.grad is not None, (self.number, name)
                assert close(p.grad, right), (self.number, name)
        # Copies: a message may still leave when the next step changes them.
        mine = [p.grad.clone() for p in self.model.local_parameters() if p.grad is not None]
        for others in smp.allgather(mine, smp.DP_GROUP):
            assert all(torch.equal(a, b) for a, b in zip(mine, others, strict=True))

    def failed(self, who: int) -> None:
        """A step whose last backward raises on one replica."""
        x, y = self.batches()[smp.dp_rank()]
        self.optimizer.zero_grad()
        Failure.left = COUNT if smp.dp_rank() == who else 0
        with pytest.raises(Exception, match="in the last backward"):
            train(self.model, x, y, "abcd")
        assert not Failure.left or smp.pp_rank() > 0
        Failure.left = 0


def steady(launched: Launched) -> None:
    for as_view in (False, True):
        for overlap in (True, False):
            pair = Pair(launched, overlapping_allreduce=overlap, gradient_as_bucket_view=as_view)
            early = [pair.step(["abcd", "abcd"], set_to_none=number != 2) for number in range(4)]
            own = len(list(pair.model.local_parameters()))
            assert early[0] == 0
            assert all((own // 2 <= one <= own) if overlap else one == 0 for one in early[1:]), early


def surprised(launched: Launched) -> None:
    """Parts that are used more often, less often, for the first time, or by one replica only."""
    turns = [
        *(("ab", "ab"), ("ab", "ab"), ("aabb", "ab"), ("ab", "ab"), ("b", "ab"), ("ab", "b")),
        *(("abc", "ab"), ("abc", "abc"), ("c", "abd"), ("abd", "c"), ("dcbaab", "abba"), ("abcd", "abcd")),
        *(("abcd", "abcd"), ("", "abcd"), ("abcd", "abcd")),
    ]
    for as_view in (False, True):
        pair = Pair(launched, gradient_as_bucket_view=as_view)
        early = [pair.step(paths) for paths in turns]
        assert early[-1] > 0
        for _ in range(2):  # frozen, and trained again
            for p in (*pair.model.get_module().parts["b"].parameters(), *pair.serial.parts["b"].parameters()):
                p.requires_grad_(not p.requires_grad)
            for _ in range(3):
                pair.step(["abcd", "abcd"])


def accumulated(launched: Launched) -> None:
    """Buckets leave in the step that reduces, and only then."""
    pair = Pair(launched, backward_passes_per_step=2)
    early = []
    for number in range(6):
        batches = pair.batches()
        if number % 2 == 0:
            pair.optimizer.zero_grad()
            pair.expected.zero_grad()
        train(pair.model, *batches[smp.dp_rank()], "abcd")
        early.append(launched.since())
        for x, y in batches:
            for part_x, part_y in zip(x.chunk(COUNT), y.chunk(COUNT), strict=True):
                (nn.functional.cross_entropy(pair.serial(part_x, "abcd"), part_y) / COUNT / 2).backward()
        if number % 2:
            pair.equal()
    assert early[:3] == [0, 0, 0]
    assert early[4] == 0
    assert early[3] > 0
    assert early[5] > 0


def abandoned(launched: Launched) -> None:
    for as_view in (False, True):
        pair = Pair(launched, gradient_as_bucket_view=as_view)
        for who in (None, None, 1, None, None, 0, 1, 1, None, None):
            if who is None:
                early = pair.step(["abcd", "abcd"])
            else:
                launched.since()
                pair.failed(who)
        assert early > 0


def two_functions(launched: Launched) -> None:
    """Each step function has a pattern of its own."""
    pair = Pair(launched)
    for _ in range(3):
        pair.step(["abcd", "abcd"])
        pair.optimizer.zero_grad()
        x = [x for x, _ in pair.batches()]
        train_near(pair.model, x[smp.dp_rank()])
        pair.expected.zero_grad()
        for part in (part for one in x for part in one.chunk(COUNT)):
            (pair.serial.near(part).square().mean() / COUNT / 2).backward()
        pair.equal()
    assert pair.step(["abcd", "abcd"]) > 0


def ended(launched: Launched) -> None:
    """The script ends while reductions of one replica wait for the other."""
    pair = Pair(launched)
    for _ in range(2):
        pair.step(["abcd", "abcd"])
    pair.failed(1)


def main() -> None:
    smp.init(
        {"partitions": 2, "microbatches": COUNT, "ddp": True, "auto_partition": False, "default_partition": 0}
    )
    launched = Launched()
    for case in (steady, surprised, accumulated, abandoned, two_functions, ended):
        case(launched)
        print(f"{case.__name__} rank={smp.rank()}", flush=True)
        smp.barrier()


if __name__ == "__main__":
    main()
