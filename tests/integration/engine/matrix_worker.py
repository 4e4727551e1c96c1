"""One rank of the matrix: every case under every given configuration. Arguments: a folder, then the rows as JSON.

All rows have the same partitions and replicas. With one partition it writes to the folder what dropout gave, for any
number of microbatches; with more it compares.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.pipeline.engine import Engine
from tests.integration.engine import cases_worker, equality_worker, random_worker, remote_worker
from tests.integration.engine.matrix import MICROBATCHES, Row

LIMIT = 1e-5


def configure(row: Row) -> None:
    """What ``smp.init`` would have made of these parameters; the ranks stay as they are."""
    smp.barrier()
    live = smp.state.runtime
    live.cfg = dataclasses.replace(
        live.cfg,
        microbatches=row["microbatches"],
        pipeline=row["pipeline"],
        active_microbatches=row["active_microbatches"] or smp.pp_size() + 2,
    )
    placement = live.placement
    live.engine = Engine(
        live.transport,
        placement.group(Group.PP, live.rank),
        live.cfg.pipeline,
        live.cfg.active_microbatches,
        live.device,
        placement.rank_in(Group.DP, live.rank),
        placement.group(Group.DP, live.rank) if live.cfg.deterministic_server else (),
    )
    smp.barrier()


def auto(on: bool) -> None:
    live = smp.state.runtime
    live.cfg = dataclasses.replace(live.cfg, auto_partition=on, default_partition=0)


@smp.step
def train(model: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    loss = nn.functional.cross_entropy(model(x), y)
    model.backward(loss)
    return loss


def dropout(folder: Path) -> None:
    """What is drawn depends on neither partitions, nor schedule: as with one partition."""
    torch.manual_seed(11)
    smp.state.model = None
    model = smp.DistributedModel(random_worker.Net(recompute=False))
    draw = torch.Generator().manual_seed(smp.dp_rank())
    losses = train(
        model, torch.randn(8, 8, generator=draw), torch.randint(0, 3, (8,), generator=draw)
    ).outputs
    gradients = {name: p.grad for name, p in model.local_named_parameters()}
    path = folder / f"dropout-{smp.dp_size()}-{smp.dp_rank()}-{smp.num_microbatches()}.pt"
    if smp.pp_size() == 1:
        torch.save({"losses": losses, "gradients": gradients}, path)
        return
    alone = torch.load(path, weights_only=True)
    for mine, theirs in zip(losses, alone["losses"], strict=True):
        assert abs(mine - theirs) <= LIMIT * abs(theirs), (mine, theirs)
    for name, gradient in gradients.items():
        assert equality_worker.close(gradient, alone["gradients"][name]), name


def loader() -> None:
    """Batches of processes that were forked while the engine runs; the batch is a dict of tensors."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 2))
    reference = copy.deepcopy(net)
    smp.state.model = smp.state.optimizer = None
    model = smp.DistributedModel(net)
    optimizer = smp.DistributedOptimizer(torch.optim.SGD(model.parameters(), 0.1))
    expected = torch.optim.SGD(reference.parameters(), 0.1)
    data = [{"x": torch.full((4,), i / 10), "y": torch.tensor(i % 2)} for i in range(48)]

    @smp.step
    def fit(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        loss = nn.functional.cross_entropy(model(batch["x"]), batch["y"])
        model.backward(loss)
        return loss

    for batch in torch.utils.data.DataLoader(data, batch_size=16, num_workers=2):
        optimizer.zero_grad()
        loss = fit(model, batch).reduce_mean()
        optimizer.step()
        expected.zero_grad()
        right = nn.functional.cross_entropy(reference(batch["x"]), batch["y"])
        right.backward()
        expected.step()
        assert abs(loss - right) <= LIMIT * abs(right), (loss, right)
    smp.state.optimizer = None


def run(row: Row, folder: Path) -> list[str]:
    configure(row)
    done = []
    auto(True)
    dropout(folder)
    auto(not row["manual"])
    for name in equality_worker.MODELS:
        equality_worker.run(name, manual=row["manual"])
        done.append(name)
    smp.state.optimizer = None
    auto(False)
    for name in cases_worker.CASES:
        cases_worker.run(name, bfloat16=False)
        done.append(name)
    for name in ("Loop", "Callback"):
        cases_worker.run(name, bfloat16=True)
        done.append(f"autocast {name}")
    if smp.pp_size() > 1:
        for use in remote_worker.CASES:
            remote_worker.equal(use)
            done.append(use.__name__)
    return [*done, "dropout"]


def main() -> None:
    folder, rows = Path(sys.argv[1]), json.loads(sys.argv[2])
    first = rows[0]
    smp.init({"partitions": first["partitions"], "ddp": True, "placement_strategy": first["placement"]})
    for row in rows:
        done = run(row, folder)
        text = " ".join(f"{k}={v}" for k, v in row.items())
        print(f"equal rank={smp.rank()} {text}: {', '.join(done)}", flush=True)
    auto(True)
    loader()
    print(f"loaded rank={smp.rank()}", flush=True)
    if smp.pp_size() == 1:
        for microbatches in MICROBATCHES:
            configure({**first, "microbatches": microbatches})
            dropout(folder)
    smp.barrier()


if __name__ == "__main__":
    main()
