"""One rank of the test of planned order. Arguments: the parameters as JSON, and values of ``pipeline``.

Each case is trained for some steps: every one equals the serial run, and from the third on each rank runs the tasks of its
plan in their order. Replicas have the same plan, and two planned steps with the same batch the same bits.
"""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from shardyard_runtime.torch.pipeline.planned.planner import RankPlan
from shardyard_runtime.torch.pipeline.schedule.tasks import written
from shardyard_runtime.torch.pipeline.scheduler import Task
from tests.integration.engine import cases_worker, equality_worker
from tests.integration.engine.matrix_worker import configure

STEPS, PLANNED_FROM, BATCH = 4, 2, 24


class Recomputed(nn.Module):
    """Blocks on all ranks, those in the middle computed again in backward."""

    placement = {"blocks.0": 1, "blocks.1": 2, "blocks.2": 1, "blocks.3": 3}

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(8, 8)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(4))
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


# Control is left out here: which of its modules run depends on the batch. It is among the cases of the matrix.
PLACED: dict[str, Any] = {
    **{name: case for name, case in cases_worker.CASES.items() if name not in ("Control", "Norm")},
    "Recomputed": Recomputed,
}


def watched() -> list[Any]:
    """The tasks that this rank runs, one entry a slice, from now on."""
    scheduler, ran = smp.state.runtime.engine._scheduler, []
    hand_over = scheduler._hand_over

    def noted(task: Task) -> None:
        if not task.settling:
            ran.append(task.identity)
        hand_over(task)

    scheduler._hand_over = noted
    return ran


def followed(ran: list[Any]) -> bool:
    """Whether the step was by a plan: then this rank did what it says, and other calls are none that anything waits for.

    Replicas have one plan. With deterministic_server the first one's is followed, and the others follow its log.
    """
    live = smp.state.runtime
    course = live.engine._agreement.course
    plan: RankPlan | None = course._plan
    orders = smp.allgather(plan.order if plan is not None and course.follows else None, smp.DP_GROUP)
    if orders[0] is None:
        assert not any(orders)
        return False
    alone = live.cfg.deterministic_server
    assert all(order == (None if alone else orders[0]) for order in orders[1:])
    assert [name for name in ran if name in set(orders[0])] == list(orders[0]), (ran, orders[0])
    return True


def placed(net: Any) -> Any:
    for path, module in net.named_modules():
        above = [p for p in (path, *cases_worker._above(path)) if p in net.placement]
        smp.set_partition(module, min(net.placement[above[0]], smp.pp_size() - 1) if above else 0)
    smp.state.model = None
    model = smp.DistributedModel(net)
    if isinstance(net, Recomputed):
        for block in net.blocks[:3]:
            smp.set_activation_checkpointing(block)
    return model


@smp.step
def train(model: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    loss = nn.functional.cross_entropy(model(x), y)
    model.backward(loss)
    return loss


@smp.step
def evaluate(model: Any, x: torch.Tensor) -> torch.Tensor:
    return model(x)


def run(name: str, kind: str) -> str:
    """Trains and evaluates one case; the plan's schedule as text, on the leader."""
    configure({"microbatches": 6, "pipeline": kind, "active_microbatches": None})
    torch.manual_seed(5)
    net = PLACED[name]() if name in PLACED else equality_worker.MODELS[name]()
    reference = copy.deepcopy(net)
    if name not in PLACED:
        for index, child in enumerate(net.children()):
            smp.set_partition(child, index % smp.pp_size() if name != "tied" else int(child is net.middle))
        smp.state.model = None
        model = smp.DistributedModel(net)
    else:
        model = placed(net)
    agreement, ran = smp.state.runtime.engine._agreement, watched()
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(smp.dp_size(), BATCH, 8, generator=draw)
    y = torch.randint(0, 4, (smp.dp_size(), BATCH), generator=draw)
    expected = gradients(reference, x, y)
    bits: list[dict[str, torch.Tensor]] = []
    for step in range(STEPS):
        for parameter in model.parameters():
            parameter.grad = None
        ran.clear()
        train(model, x[smp.dp_rank()].clone(), y[smp.dp_rank()])
        mine = {key: parameter.grad for key, parameter in model.local_named_parameters()}
        for key, gradient in mine.items():
            assert equality_worker.close(gradient, expected[key]), (name, key)
        assert followed(ran) == (step >= PLANNED_FROM), (name, kind, step)
        bits += [mine] if step >= PLANNED_FROM else []
    for key in bits[0]:
        assert torch.equal(bits[0][key], bits[1][key]), (name, key)
    plan = agreement.plan
    for step in range(PLANNED_FROM + 1):
        ran.clear()
        with torch.no_grad():
            seen = evaluate(model, x[smp.dp_rank()].clone()).concat()
        assert equality_worker.close(seen, reference(x[smp.dp_rank()].clone()).detach()), name
        assert followed(ran) == (step >= PLANNED_FROM), (name, step)
    return written(plan.schedule) if plan is not None else ""


def gradients(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    count, replicas = smp.num_microbatches(), smp.dp_size()
    for r in range(replicas):
        for part_x, part_y in zip(x[r].chunk(count), y[r].chunk(count), strict=True):
            loss = nn.functional.cross_entropy(net(part_x.clone()), part_y)
            (loss / count / replicas).backward()
    return {key: parameter.grad for key, parameter in net.named_parameters() if parameter.grad is not None}


def main() -> None:
    smp.init({**json.loads(sys.argv[1]), "auto_partition": False, "default_partition": 0})
    for kind in sys.argv[2:]:
        for name in (*PLACED, *equality_worker.MODELS):
            schedule = run(name, kind)
            print(f"followed rank={smp.rank()} {kind} {name}", flush=True)
            if smp.rank() == 0 and name == "chain":
                print(schedule, flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()
