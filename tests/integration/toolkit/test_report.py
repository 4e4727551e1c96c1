"""From ``shardyard run --timeline`` to the page of ``shardyard report``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.toolkit.conftest import Cli, make_project

SCRIPT = """
import argparse
import torch
import smdistributed.modelparallel.torch as smp
argparse.ArgumentParser().parse_known_args()
smp.init()
model = smp.DistributedModel(torch.nn.Sequential(*(torch.nn.Linear(16, 16) for _ in range(4))))
optimizer = smp.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))

@smp.step
def train_step(model, x):
    loss = (model(x) - x).square().mean()
    model.backward(loss)
    return loss

torch.manual_seed(smp.rank())
for _ in range(3):
    optimizer.zero_grad()
    train_step(model, torch.randn(16, 16))
    optimizer.step()
"""
DISTRIBUTION = """
[distribution.smdistributed.modelparallel]
enabled = true
parameters = {partitions = 2, microbatches = 4, ddp = true}
[distribution.mpi]"""


def test_a_run_and_its_report(tmp_path: Path, cli: Cli) -> None:
    folder = make_project(tmp_path)
    (folder / "src/train.py").write_text(SCRIPT)
    toml = folder / "shardyard.toml"
    toml.write_text(toml.read_text().replace("[distribution.mpi]", DISTRIBUTION))
    run = ("run", "--engine", "process")

    plain = cli(folder, *run)
    assert plain.returncode == 0, plain.stdout + plain.stderr
    refused = cli(folder, "report")
    assert refused.returncode == 2
    assert "has no timeline. Record one with: shardyard run --timeline" in refused.stderr

    done = cli(folder, *run, "--timeline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train_step: 3 steps, of which 2 to 3 are recorded" in done.stdout
    made = cli(folder, "report")
    assert made.returncode == 0, made.stderr
    assert made.stdout == f"{folder / '.shardyard/run/report.html'}\n"
    page = Path(made.stdout.strip()).read_text()
    for said in ("4 ranks on algo-1, algo-2", "What train_step returned", "as it ran", "Resident memory"):
        assert said in page
    timeline = folder / ".shardyard/run/algo-1/output/data/timeline"
    assert [one["host"] for one in json.loads((timeline / "timeline.json").read_text())["ranks"]] == [
        "algo-1", "algo-1", "algo-2", "algo-2",
    ]  # fmt: skip


def test_where_nothing_would_be_recorded(tmp_path: Path, cli: Cli) -> None:
    folder = make_project(tmp_path)
    toml = folder / "shardyard.toml"
    toml.write_text(toml.read_text().replace("[image]", '[image]\nruntime = "image"'))
    done = cli(folder, "run", "--engine", "process", "--timeline")
    assert done.returncode == 2
    assert "'--timeline': the runtime for PyTorch records it" in done.stderr
