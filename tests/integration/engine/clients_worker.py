"""One rank, of 2 partitions x 2 replicas: what scripts rely on that the library's documentation does not say."""

from __future__ import annotations

import argparse
import copy
import glob
import sys
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

import smdistributed.modelparallel.torch as smp
from smdistributed.modelparallel.torch.state_mod import state as state_of_module
from tests.integration.engine.equality_worker import close

BATCH, COUNT, WIDTH, CLASSES = 8, 2, 8, 4


@dataclass
class Output(OrderedDict):  # type: ignore[type-arg]
    """As Hugging Face's ModelOutput: a dict of its fields that are not None, in their order."""

    loss: Any = None
    logits: Any = None
    past_key_values: Any = None

    def __post_init__(self) -> None:
        for name in ("loss", "logits", "past_key_values"):
            if getattr(self, name) is not None:
                self[name] = getattr(self, name)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, features: torch.Tensor, mask: torch.Tensor | None = None) -> Output:
        past = []
        for layer in self.layers:
            features = torch.tanh(layer(features))
            past.append((features.mean(), features.std()))
        return Output(logits=self.head(features), past_key_values=tuple(past))


class Criterion(nn.Module):
    """A module that is not the distributed model, and runs in the step on what that returns."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.tensor([1.0, 2.0, 1.0, 0.5])

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits, labels, weight=self.weight)


class Helper:
    """An optimizer of the script's own around the library's: the backward is reached through it."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner

    def backward(self, loss: torch.Tensor, model: Any) -> None:
        model.backward(loss)


class Trainer:
    """The step function is defined in a class body and has no ``self``."""

    @smp.step
    def train_step(
        model: Any,
        optimizer: Helper,
        criterion: nn.Module,
        batch: dict[str, Any],
        args: argparse.Namespace,
    ) -> Any:
        assert args.name == "script"
        assert batch["inputs"]["features"].shape == (BATCH // COUNT, WIDTH)
        out = model.forward(**batch["inputs"])
        loss = criterion(out.logits, batch["labels"])
        loss /= 2
        optimizer.backward(loss, model)
        right = (out.logits.argmax(1) == batch["labels"]).sum()
        return Output(loss, out.logits, out.past_key_values), right.item(), {"right": right, "none": None}


@smp.step()
def look(model: Any, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tuple(model(features).values())[:1]


def batch_of(replica: int) -> dict[str, Any]:
    draw = torch.Generator().manual_seed(replica)
    features = torch.randn(BATCH, WIDTH, generator=draw)
    return {
        "inputs": {"features": features, "mask": None},
        "labels": torch.randint(0, CLASSES, (BATCH,), generator=draw),
    }


def nothing() -> dict[str, Any]:
    """What loaders give ranks that supply no input."""
    return {"inputs": {"features": torch.zeros(BATCH, 0), "mask": None}, "labels": torch.zeros(BATCH, 0)}


def before_and_around_init() -> None:
    assert smp.is_initialized() is False
    assert not smp.core.initialized
    smp.init({"partitions": 2, "microbatches": COUNT, "ddp": True})
    smp.init({"partitions": 1})  # changes nothing
    assert smp.is_initialized()
    assert smp.pp_size() == smp.dp_size() == 2
    torch.cuda.set_device(smp.local_rank())
    torch.cuda.synchronize()
    assert state_of_module is smp.state
    for key in ("fp16", "prescaled_batch", "shard_optimizer_state", "sharded_data_parallel_degree"):
        assert getattr(smp.state.cfg, key) in (False, 1)
    assert list(smp.state.module_manager.translate_functions) == []
    assert smp.get_tp_group() == [smp.rank()]
    dist.barrier()
    for group, size in (
        (smp.get_world_process_group(), 4),
        (smp.get_dp_process_group(), 2),
        (smp.get_mp_process_group(), 2),
        (smp.get_pp_process_group(), 2),
        (smp.get_tp_process_group(), 1),
        (smp.get_rdp_process_group(), 2),
    ):
        one = torch.ones(1)
        dist.all_reduce(one, group=group)
        assert one.item() == size == dist.get_world_size(group)


def main() -> None:
    folder = Path(sys.argv[1])
    before_and_around_init()

    # Built with another seed on each rank, given to an optimizer and a schedule before it is wrapped.
    torch.manual_seed(100 + smp.rank())
    net = Net()
    plain = torch.optim.SGD(net.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(plain, lambda step: 1.0 - step / 4)
    groups = plain.param_groups[0]
    model = smp.DistributedModel(net, trace_device="cpu", backward_passes_per_step=1)
    optimizer = smp.DistributedOptimizer(
        plain, static_loss_scale=None, dynamic_loss_scale=True, dynamic_loss_args={"scale_window": 10}
    )
    assert isinstance(model, smp.model.DistributedModel)
    assert model.module.module is model.get_module() is net
    assert model.to("cpu").train().eval().train() is model
    assert {id(p) for p in model.parameters()} == {id(p) for p in net.parameters()}
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.param_groups[0] is groups
    assert optimizer.optimizer is plain
    smp.set_activation_checkpointing(model.get_module().layers, strategy="each", pack_args_as_tuple=True)
    smp.set_partition(model.get_module().head, 1)

    seen: list[str] = []

    def noted(name: str) -> Any:
        def hook(given: Any, beside: Any) -> None:
            assert (given, beside) == (model, optimizer)
            assert given.partitioned
            seen.append(name)

        return hook

    model.register_post_partition_hook(noted("removed")).remove()
    model.register_post_partition_hook(noted("partitioned"))
    model.register_post_step_hook(noted("stepped"))

    # Evaluation without gradients is the very first step.
    first = batch_of(smp.dp_rank())["inputs"]["features"] if smp.pp_rank() == 0 else torch.zeros(BATCH, 0)
    with torch.no_grad():
        (logits,) = look(model.eval(), first)
    assert logits.concat().shape == (BATCH, CLASSES)
    assert seen == ["partitioned", "stepped"]
    model.register_post_partition_hook(noted("again"))
    local = {name: p.detach().clone() for name, p in model.local_named_parameters()}
    assert len(local) > 0
    for theirs in smp.allgather(local, smp.DP_GROUP):
        assert all(torch.equal(theirs[name], value) for name, value in local.items())

    # One replica gathers, and nothing else takes part.
    if smp.dp_rank() == 0:
        start = model.state_dict()
        numbered = optimizer.state_dict()
        assert len(numbered["param_groups"][0]["params"]) == len(list(net.parameters()))
        smp.save(start, folder / "whole.pt", False)
        smp.save(model.local_state_dict(), folder / "part.pt", partial=True)
    smp.save(optimizer.local_state_dict(gather_if_shard=False), folder / "state.pt", v3=True)
    whole = model.state_dict(gather_to_rank0=True)
    assert bool(whole) == (smp.rank() == 0)
    smp.barrier()
    assert len(glob.glob(f"{folder}/part.pt_*")) == 2
    assert (folder / f"part.pt_{smp.pp_rank()}_{smp.tp_rank()}").exists()
    assert (folder / f"state.pt_{smp.pp_rank()}_{smp.tp_rank()}_{smp.rdp_rank()}").exists()
    start = smp.load(folder / "whole.pt", partial=False)

    reference = Net()
    reference.load_state_dict(start)
    expected = torch.optim.SGD(reference.parameters(), 0.1)
    criterion, trainer = Criterion(), Trainer()
    args = argparse.Namespace(name="script", device=torch.device("cpu"))
    mine = batch_of(smp.dp_rank()) if smp.pp_rank() == 0 else nothing()
    model.train()
    optimizer.zero_grad(set_to_none=True)
    out, scalars, more = trainer.train_step(model, Helper(optimizer), criterion, mine, args)
    assert seen == ["partitioned", "stepped", "again"]

    losses, rights = [], []
    for replica in range(smp.dp_size()):
        batch = batch_of(replica)
        for part, labels in zip(
            batch["inputs"]["features"].chunk(COUNT), batch["labels"].chunk(COUNT), strict=True
        ):
            answer = reference(part)
            one = criterion(answer.logits, labels) / 2
            (one / COUNT / smp.dp_size()).backward()
            losses.append(one.detach())
            rights.append((answer.logits.argmax(1) == labels).sum().item())
            if replica == smp.dp_rank():
                past = answer.past_key_values
    here = slice(COUNT * smp.dp_rank(), COUNT * (smp.dp_rank() + 1))
    assert isinstance(out, dict)
    assert list(out) == ["loss", "logits", "past_key_values"]
    assert scalars == rights[here]
    assert more["none"] is None
    assert more["right"].reduce_mean().item() == sum(rights[here]) / COUNT
    assert close(out["past_key_values"][2][1].outputs[-1], past[2][1])
    assert len(out.past_key_values) == 3
    loss = out.loss.reduce_mean()
    assert close(loss, torch.stack(losses[here]).mean())
    dist.all_reduce(loss, group=smp.get_dp_process_group())
    assert close(loss / smp.dp_size(), torch.stack(losses).mean())

    theirs = dict(reference.named_parameters())
    for name, parameter in model.local_named_parameters():
        assert close(parameter.grad, theirs[name].grad), name
    norm = optimizer.clip_master_grads(1e-3)  # also without fp16
    assert norm == pytest.approx(nn.utils.clip_grad_norm_(reference.parameters(), 1e-3).item(), rel=1e-5)
    assert optimizer.overflow is False
    optimizer.step()
    expected.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(0.075)]
    after = model.state_dict()
    assert all(close(after[name], value) for name, value in reference.state_dict().items())

    # A full dict with the key that Hugging Face's Trainer adds, strict or not.
    model.load_state_dict({**start, "_smp_is_partial": False}, strict=True)
    assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items())
    for option in ("prefix", "keep_vars"):
        with pytest.raises(TypeError, match=option):
            model.state_dict(**{option: ""})

    # Questions of packages for 16 bits: no parameter is split.
    assert dict(model.virtual_named_parameters()).keys() == start.keys()
    assert not any(model.is_distributed_parameter(p) for p in model.parameters())
    (names,) = smp.state.param_index_to_name_tp_group
    (indices,) = smp.state.param_name_to_index_tp_group
    assert [indices[names[i]] for i in range(len(names))] == list(range(len(start)))
    copied = copy.deepcopy(list(model.get_module().parameters()))
    assert len(copied) == len(start)
    print(f"clients rank={smp.rank()}", flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()
