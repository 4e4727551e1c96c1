"""One rank of the checkpoint tests. Arguments: what to try ('train', 'resume-serial' or 'hosts'), and a folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from shardyard_runtime.torch.partition import auto
from tests.integration.engine.models import MODELS

STEPS, SAVED_AT, BATCH, REPLICAS = 7, 3, 8, 2
Losses = list[float]


@smp.step
def train_step(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    loss = nn.functional.cross_entropy(model(x), y)
    model.backward(loss)
    return loss


class Run:
    """A model with an optimizer and a schedule, as a script makes them."""

    def __init__(self, name: str, seed: int) -> None:
        torch.manual_seed(seed)
        smp.state.model = smp.state.optimizer = None  # one model a script; the test makes several
        self.model: Any = smp.DistributedModel(MODELS[name]())
        self.optimizer: Any = smp.DistributedOptimizer(torch.optim.Adam(self.model.parameters(), 0.02))
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 2, 0.5)

    def train(self, first: int, last: int) -> Losses:
        """Losses of these steps, averaged over the replicas: those of one process that sees all their batches."""
        losses = []
        for number in range(first, last):
            draw = torch.Generator().manual_seed(number)
            x = torch.randn(REPLICAS * BATCH, 8, generator=draw)
            y = torch.randint(0, 4, (REPLICAS * BATCH,), generator=draw)
            mine = slice(
                smp.dp_rank() * len(x) // smp.dp_size(), (smp.dp_rank() + 1) * len(x) // smp.dp_size()
            )
            self.optimizer.zero_grad()
            loss = train_step(self.model, x[mine], y[mine]).reduce_mean().item()
            self.optimizer.step()
            self.schedule.step()
            losses.append(sum(smp.allgather(loss, smp.DP_GROUP)) / smp.dp_size())
        return losses

    def save(self, folder: Path, tag: str, **options: Any) -> None:
        content = {"schedule": self.schedule.state_dict(), "path": folder}  # a Path: any object will do
        options = {"optimizer": self.optimizer, "user_content": content, **options}
        smp.save_checkpoint(folder, tag=tag, model=self.model, **options)

    def resume(self, folder: Path, tag: str | None = None, **options: Any) -> None:
        content = smp.resume_from_checkpoint(folder, tag=tag, **options)
        self.schedule.load_state_dict(content["schedule"])
        assert isinstance(content["path"], Path)


def close(losses: Losses, expected: Losses) -> bool:
    worst = max(abs(a - b) for a, b in zip(losses, expected, strict=True))
    return worst <= 1e-5 * max(abs(b) for b in expected)


def trains_on(name: str, folder: Path, expected: Losses, how: str, **options: Any) -> None:
    """Resumes in a new run, and in one that has been partitioned and trained to something else."""
    for steps_before in (0, 2):
        run = Run(name, seed=50 + steps_before)
        run.train(0, steps_before)
        run.resume(folder, **options)
        if steps_before == 0:  # what waits for the partition is saved like what has come
            run.save(folder, "again", partial=options.get("partial", True))
        assert close(run.train(SAVED_AT, STEPS), expected), (name, how, steps_before)
    again = Run(name, seed=54)
    again.resume(folder, **{**options, "tag": "again"})
    assert close(again.train(SAVED_AT, STEPS), expected), (name, how, "again")
    print(f"resumed {name} {how} rank={smp.rank()}", flush=True)


def equality(name: str, folder: Path, whole: Path) -> None:
    run = Run(name, seed=1)
    run.train(0, SAVED_AT)
    run.save(folder, "three", num_kept_partial_checkpoints=3)
    run.save(folder, "full.pt", partial=False)
    run.save(whole, "full.pt", partial=False)
    expected = run.train(SAVED_AT, STEPS)
    if smp.rank() == 0:
        (whole / "expected.json").write_text(json.dumps(expected))
    assert (folder / "newest").read_text() == "full.pt\n"
    pp, rdp = smp.pp_rank(), smp.rdp_rank()
    for kind in ("model", "optimizer"):
        torch.load(folder / "three_partial" / f"{kind}_{pp}_0.pt", weights_only=True)
    assert len(list((folder / "three_partial").glob("model_*"))) == smp.pp_size(), rdp
    plain = MODELS[name]()
    plain.load_state_dict(torch.load(folder / "full.pt", weights_only=True))  # any script can
    trains_on(name, folder, expected, "newest-partial", tag=None)
    trains_on(name, folder, expected, "partial", tag="three")
    trains_on(name, folder, expected, "full", tag="full.pt", partial=False)

    decided = auto.assign

    def turned_round(root: nn.Module, n: int, *others: Any) -> Any:
        found = decided(root, n, *others)
        return replace(found, owner={path: n - 1 - owner for path, owner in found.owner.items()})

    auto.assign = turned_round
    trains_on(name, folder, expected, "repartitioned", tag="three")
    auto.assign = decided

    forgetful = Run(name, seed=50)
    forgetful.resume(folder, "three", load_optimizer=False)
    assert not close(forgetful.train(SAVED_AT, STEPS), expected), (
        "Adam's state makes no difference: a weak test"
    )


def kept(folder: Path) -> None:
    run = Run("chain", seed=1)
    run.train(0, 1)
    for step in range(4):
        run.save(folder, f"step{step}", num_kept_partial_checkpoints=2)
    smp.barrier()
    assert sorted(e.name for e in folder.iterdir()) == ["newest", "step2_partial", "step3_partial"]
    assert (folder / "newest").read_text() == "step3_partial\n"
    smp.barrier()
    if smp.rank() == 0:  # of crashes
        (folder / ".step9_partial.ckpt-saving").mkdir()
        (folder / ".step0_partial.ckpt-old").mkdir()
        (folder / ".1234-0.ckpt-probe").touch()
    smp.barrier()
    run.save(folder, "step3", user_content=None, num_kept_partial_checkpoints=1)
    assert sorted(e.name for e in folder.iterdir()) == ["newest", "step3_partial"]
    assert smp.resume_from_checkpoint(folder) == {}
    print(f"kept rank={smp.rank()}", flush=True)


def old_clients(folder: Path) -> None:
    """A folder as Hugging Face's Trainer and --fine_tune leave it: a bare state dict, an empty user_content.pt."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(4)
    net = MODELS["tied"]()
    if smp.rank() == 0:
        torch.save(net.state_dict(), folder / "pytorch_model.bin")
        (folder / "user_content.pt").touch()
    smp.barrier()
    run = Run("tied", seed=1)
    given = smp.resume_from_checkpoint(
        path=folder, tag="pytorch_model.bin", partial=False, load_optimizer=False
    )
    assert given.get("total_steps") is None
    for key, value in run.model.state_dict().items():
        assert torch.equal(value, net.state_dict()[key])
    renamed = {f"x.{k}": v for k, v in net.state_dict().items()}
    if smp.rank() == 0:
        torch.save(renamed, folder / "renamed.bin")
    smp.barrier()
    smp.resume_from_checkpoint(
        folder, "renamed.bin", False, translate_function=lambda full: {k[2:]: v for k, v in full.items()}
    )
    print(f"old clients rank={smp.rank()}", flush=True)


def raises(kind: type[Exception], words: list[str], call: Callable[[], Any], everywhere: bool = True) -> None:
    """On every rank; where only some meet the cause themselves, the others raise PeerFailed that quotes it."""
    error = kind if everywhere else (kind, smp.exceptions.PeerFailed)
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value), (word, str(caught.value))


def refusals(folder: Path) -> None:
    run = Run("chain", seed=1)
    run.train(0, 1)
    resume, save = smp.resume_from_checkpoint, smp.save_checkpoint
    nowhere = folder / "nowhere"
    raises(FileNotFoundError, ["does not exist", "smp.save_checkpoint"], lambda: resume(nowhere), False)
    run.save(folder, "one")
    raises(FileNotFoundError, ["'two'", "['one']"], lambda: resume(folder, "two"), False)
    raises(FileNotFoundError, ["partial=True", "one_partial"], lambda: resume(folder, partial=False), False)
    raises(ValueError, ["translate_function"], lambda: resume(folder, translate_function=dict))
    raises(
        smp.exceptions.NotBuiltYet, ["sharded"], lambda: resume(folder, load_sharded_optimizer_state=False)
    )
    for tag in ("", "a/b", ".hidden"):
        raises(ValueError, [repr(tag)], lambda tag=tag: run.save(folder, tag))
    raises(ValueError, ["'newest'"], lambda: run.save(folder, "newest", partial=False))
    raises(ValueError, ["at least 1", "0"], lambda: run.save(folder, "t", num_kept_partial_checkpoints=0))
    raises(ValueError, ["nothing to save"], lambda: save(folder, "t"))
    raises(ValueError, ["model="], lambda: save(folder, "t", partial=False, optimizer=run.optimizer))
    raises(
        TypeError,
        ["smp.DistributedModel", "Sequential"],
        lambda: save(folder, "t", model=run.model.module.module),
    )
    raises(ValueError, ["same checkpoint"], lambda: run.save(folder, f"rank{smp.rank()}"))
    run.optimizer.param_groups[0]["mine"] = object()
    raises(ValueError, ["['mine']", "builtins.object", "user_content"], lambda: run.save(folder, "t"))
    del run.optimizer.param_groups[0]["mine"]
    assert [e.name for e in folder.iterdir() if "t_partial" in e.name] == []
    other = Run("skips", seed=1)
    raises(RuntimeError, ["does not fit", "missing: ['enter.weight'"], lambda: resume(folder))
    other.train(0, 1)
    raises(RuntimeError, ["lacks"], lambda: resume(folder), False)

    run = Run("chain", seed=1)
    part = folder / "one_partial" / "model_1_0.pt"
    whole = part.read_bytes() if part.exists() else b""
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (whole[:middle], b"", flipped):
        smp.barrier()
        if smp.rank() == 0:
            part.write_bytes(damaged)
        smp.barrier()
        raises(smp.exceptions.CheckpointUnreadable, [str(part)], lambda: resume(folder), False)
    smp.barrier()
    if smp.rank() == 0:
        part.unlink()
    smp.barrier()
    raises(smp.exceptions.CheckpointUnreadable, [str(part)], lambda: resume(folder), False)
    print(f"refused rank={smp.rank()}", flush=True)


def train(folder: Path) -> None:
    smp.init({"partitions": 2, "microbatches": 2, "ddp": True})
    for name in ("skips", "tied"):
        equality(name, folder / name, folder / f"{name}-whole")
    kept(folder / "kept")
    old_clients(folder / "old")
    refusals(folder / "refused")
    smp.barrier()
    leftovers = list(folder.rglob(".*"))
    assert not leftovers, leftovers


def resume_serial(folder: Path) -> None:
    """One process, one partition: full checkpoints fit, partial ones are refused with the numbers."""
    smp.init({"partitions": 1, "microbatches": 4})
    for name in ("skips", "tied"):
        whole = folder / f"{name}-whole"
        run = Run(name, seed=9)
        run.resume(whole, partial=False)
        assert close(run.train(SAVED_AT, STEPS), json.loads((whole / "expected.json").read_text())), name
    raises(ValueError, ["partitions 2", "has 1", "partial=False"], lambda: run.resume(folder / "tied"))
    print("resumed serial", flush=True)


def hosts(folder: Path) -> None:
    """Hosts with folders of their own, as /opt/ml/checkpoints is: each gets what its ranks need to go on."""
    rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
    os.environ["SHARDYARD_LOCAL_RANK"] = str(rank % 2)
    smp.init({"partitions": 2, "microbatches": 2, "ddp": True, "placement_strategy": sys.argv[3]})
    mine = folder / f"host{rank // 2}"
    run = Run("skips", seed=1)
    run.train(0, SAVED_AT)
    run.save(mine, "three")
    run.save(mine, "full.pt", partial=False)
    expected = run.train(SAVED_AT, STEPS)
    assert (mine / "three_partial" / f"model_{smp.pp_rank()}_0.pt").exists()
    trains_on("skips", mine, expected, "own folders", tag="three")
    trains_on("skips", mine, expected, "own folders, full", tag="full.pt", partial=False)
    run.save(mine, "four")
    smp.barrier()
    if rank == 2:  # the other host lost its copy and got an older one back
        shutil.rmtree(mine / "four_partial")
        shutil.copytree(mine / "three_partial", mine / "four_partial")
    smp.barrier()
    raises(RuntimeError, ["'four'", "rank 2"], lambda: smp.resume_from_checkpoint(mine, "four"))
    raises(RuntimeError, ["host"], lambda: run.save(mine if rank % 2 else folder / f"x{rank}", "t"), False)
    print(f"hosts rank={smp.rank()}", flush=True)


if __name__ == "__main__":
    {"train": train, "resume-serial": resume_serial, "hosts": hosts}[sys.argv[1]](Path(sys.argv[2]))
