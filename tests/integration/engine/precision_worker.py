"""One rank of training in 16 bits. Arguments: how many partitions, and a folder.

With one partition it writes what it has trained; with two it compares with that, and tries the rest, and what else replicas and
partitions ask of ``smp.DistributedModel``.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from tests.integration.engine.models import MODELS

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
STEPS = 4
DYNAMIC: dict[str, Any] = {
    "static_loss_scale": None,
    "dynamic_loss_scale": True,
    "dynamic_loss_args": {"init_scale": 2.0**10, "scale_window": 1000, "min_scale": 1, "delayed_shift": 1},
}


@smp.step
def train(model: Any, x: torch.Tensor, y: torch.Tensor, scaler: Any = None) -> torch.Tensor:
    out = model(x)
    assert out.dtype == torch.float32
    loss = nn.functional.cross_entropy(out, y)
    model.backward(loss if scaler is None else scaler.scale(loss))
    return loss


def batch(number: int, replica: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(10 * number + replica)
    return torch.randn(8, 8, generator=draw), torch.randint(0, 4, (8,), generator=draw)


def module(seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return MODELS["skips"]()


def fresh(precision: str | None, seed: int = 1, **options: Any) -> tuple[Any, Any]:
    chosen = {name: name == precision for name in DTYPES}
    runtime = smp.state.runtime
    runtime.cfg = dataclasses.replace(runtime.cfg, **chosen)
    smp.state.model = smp.state.optimizer = None  # one model a script; the test makes several
    model = smp.DistributedModel(module(seed))
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    return model, smp.DistributedOptimizer(optimizer, **options)


def same(value: Any, expected: Any, tolerance: float) -> bool:
    return all(
        (value[k].float() - expected[k].float()).abs().max() <= tolerance * expected[k].float().abs().max()
        for k in expected
    )


def close_to(dtype: torch.dtype) -> float:
    """The gradients of 4 microbatches are added in 16 bits in the order of arrival: an error of about one eps a sum."""
    return 8 * torch.finfo(dtype).eps


def one(model: Any, optimizer: Any, number: int, max_norm: float = 1e9) -> tuple[float, float]:
    optimizer.zero_grad()
    loss = train(model, *batch(number, smp.dp_rank())).reduce_mean().item()
    norm = optimizer.clip_master_grads(max_norm)
    optimizer.step()
    return loss, norm


def masters(model: Any, optimizer: Any) -> dict[str, torch.Tensor]:
    """By name: those of the parameters that are here."""
    of = {
        id(low): high
        for lows, highs in zip(optimizer.fp16_groups, optimizer.fp32_from_fp16_groups, strict=True)
        for low, high in zip(lows, highs, strict=True)
    }
    return {name: of[id(p)].detach().clone() for name, p in model.local_named_parameters()}


def plain() -> tuple[dict[str, torch.Tensor], list[float]]:
    """The same steps in float32, in one process: parameters and the norms of the gradients."""
    model = module()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    norms = []
    for number in range(STEPS):
        optimizer.zero_grad()
        for replica in range(smp.dp_size()):
            x, y = batch(number, replica)
            (nn.functional.cross_entropy(model(x), y) / smp.dp_size()).backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
    return {k: v.detach() for k, v in model.named_parameters()}, norms


def trained(precision: str, folder: Path, reference: bool) -> None:
    dtype = DTYPES[precision]
    model, optimizer = fresh(precision, **DYNAMIC)
    assert {p.dtype for p in model.parameters()} == {dtype}
    wide, norms = plain()
    losses = []
    checked: dict[str, torch.Tensor] = {}
    for number in range(STEPS):
        optimizer.zero_grad()
        losses.append(train(model, *batch(number, smp.dp_rank())).reduce_mean().item())
        if not checked:  # an optimizer in float32, given the same gradients, takes the same steps
            checked = masters(model, optimizer)
            for held in checked.values():
                held.requires_grad_()
            beside = torch.optim.SGD(checked.values(), 0.05, momentum=0.9)
        for name, parameter in model.local_named_parameters():
            assert parameter.grad.dtype == dtype
            checked[name].grad = parameter.grad.float() / optimizer.loss_scale
        norm = optimizer.clip_master_grads(1.0)
        assert norm == pytest.approx(norms[number], rel=close_to(dtype))
        for held in checked.values():
            held.grad *= min(1.0, 1.0 / (norm + 1e-6))
        optimizer.step()
        beside.step()
    local = masters(model, optimizer)
    assert local
    for name, parameter in model.local_named_parameters():
        assert local[name].dtype == torch.float32
        torch.testing.assert_close(local[name], checked[name].detach(), rtol=1e-6, atol=1e-8)
        assert torch.equal(parameter, local[name].to(dtype))
    assert same(local, {k: wide[k] for k in local}, close_to(dtype))
    assert not optimizer.overflow
    assert optimizer.loss_scale == (2.0**10 if precision == "fp16" else 1.0)
    file = folder / f"{precision}.{smp.dp_rank()}"
    if reference:
        torch.save({"masters": local, "losses": losses}, file)
    else:
        serial = torch.load(file)
        assert same(local, {k: serial["masters"][k] for k in local}, close_to(dtype))
        assert losses == pytest.approx(serial["losses"], rel=close_to(dtype))
    print(f"trained {precision} rank={smp.rank()}", flush=True)


def overflowed() -> None:
    """An inf on one rank skips the step of every rank; then training goes on, at half the scale."""
    model, optimizer = fresh("fp16", **DYNAMIC)
    one(model, optimizer, 0)
    kept = masters(model, optimizer)
    optimizer.zero_grad()
    train(model, *batch(1, smp.dp_rank()))
    if smp.rank() == smp.size() - 1:
        next(model.local_parameters()).grad.view(-1)[0] = float("inf")
    assert optimizer.clip_master_grads(1.0) == -1
    optimizer.step()
    assert set(smp.allgather((optimizer.overflow, optimizer.loss_scale))) == {(True, 2.0**9)}
    now = masters(model, optimizer)
    assert all(torch.equal(now[k], kept[k]) for k in kept)
    loss, norm = one(model, optimizer, 2)
    assert loss < 10
    assert 0 < norm < 100
    assert set(smp.allgather((optimizer.overflow, optimizer.loss_scale))) == {(False, 2.0**9)}
    now = masters(model, optimizer)
    assert all(not torch.equal(now[k], kept[k]) for k in kept)
    print(f"skipped rank={smp.rank()}", flush=True)


def scheduled() -> None:
    """Schedulers of the wrapped optimizer and of the wrapper, made before there are masters, and after."""
    model, optimizer = fresh("fp16", **DYNAMIC)
    with pytest.raises(RuntimeError, match="made twice"):
        smp.DistributedOptimizer(torch.optim.SGD(model.parameters(), 0.05))
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer.optimizer, lambda number: 1.0 - number)]
    one(model, optimizer, 0)
    schedules.append(torch.optim.lr_scheduler.LambdaLR(optimizer, lambda number: 1.0 - number))
    for schedule in schedules:
        kept = masters(model, optimizer)
        one(model, optimizer, 1)
        now = masters(model, optimizer)
        assert all(not torch.equal(now[k], kept[k]) for k in kept)
        schedule.step()
        assert [group["lr"] for group in optimizer.param_groups] == [0]
        one(model, optimizer, 2)
        assert all(torch.equal(masters(model, optimizer)[k], now[k]) for k in now)
        optimizer.param_groups[0]["lr"] = 0.05
    print(f"scheduled rank={smp.rank()}", flush=True)


def uneven() -> None:
    """One replica has half the batches: its partner trains on, and then both have one model and one loss scale."""
    batches = (2, 4)
    model, optimizer = fresh(
        "fp16", **{**DYNAMIC, "dynamic_loss_args": {"init_scale": 64.0, "scale_window": 3}}
    )
    with model.join():
        for number in range(batches[smp.dp_rank()]):
            one(model, optimizer, number)
    wide = module()
    beside = torch.optim.SGD(wide.parameters(), 0.05, momentum=0.9)
    for number in range(max(batches)):
        beside.zero_grad()
        for replica in range(smp.dp_size()):
            if number < batches[replica]:
                x, y = batch(number, replica)
                (nn.functional.cross_entropy(wide(x), y) / smp.dp_size()).backward()
        beside.step()
    local, expected = masters(model, optimizer), dict(wide.named_parameters())
    assert same(local, {k: expected[k].detach() for k in local}, close_to(torch.float16))
    assert set(smp.allgather(optimizer.loss_scale)) == {128.0}
    one(model, optimizer, 9)
    for theirs in smp.allgather(masters(model, optimizer), smp.DP_GROUP):
        assert all(torch.equal(theirs[k], v) for k, v in masters(model, optimizer).items())
    print(f"uneven rank={smp.rank()}", flush=True)


def resumed(precision: str, partial: bool, folder: Path) -> None:
    place = folder / f"{precision}.{partial}"
    model, optimizer = fresh(precision, **DYNAMIC)
    for number in range(2):
        one(model, optimizer, number)
    optimizer._scale.scale = 2.0**7
    saved = masters(model, optimizer)
    smp.save_checkpoint(place, tag="t", partial=partial, model=model, optimizer=optimizer)
    expected = [one(model, optimizer, n)[0] for n in (2, 3)]
    for steps in (0, 1):  # into a model that knows its partition, and one that does not
        model, optimizer = fresh(precision, seed=7, **DYNAMIC)
        for number in range(steps):
            one(model, optimizer, number)
        smp.resume_from_checkpoint(place, tag="t", partial=partial)
        train(model, *batch(9, smp.dp_rank()))  # partitions
        now = masters(model, optimizer)
        assert all(torch.equal(now[k], saved[k]) for k in saved)
        assert all(torch.equal(p, saved[k].to(p.dtype)) for k, p in model.local_named_parameters())
        assert optimizer.loss_scale == 2.0**7 or precision == "bf16"
        losses = [one(model, optimizer, n)[0] for n in (2, 3)]
        assert losses == pytest.approx(expected, rel=close_to(DTYPES[precision]))
    print(f"resumed {precision} partial={partial} rank={smp.rank()}", flush=True)


def scaled() -> None:
    """torch's way of float16: float32 parameters and a GradScaler; one optimizer has no gradient on some ranks."""
    model, optimizer = fresh(None)
    smp.state.optimizer = None
    fused = torch.optim.SGD(model.get_module().enter.parameters(), 0.05, fused=True)
    optimizer = smp.DistributedOptimizer(fused)
    scaler = smp.amp.GradScaler(init_scale=2.0**10, growth_interval=1000)
    for number in range(3):
        optimizer.zero_grad()
        kept = {k: p.detach().clone() for k, p in model.local_named_parameters()}
        train(model, *batch(number, smp.dp_rank()), scaler)
        here = [p for p in model.get_module().enter.parameters() if p.grad is not None]
        assert bool(here) == (smp.pp_rank() == 0)
        if number == 1 and smp.pp_rank() == 0 and smp.dp_rank() == 1:
            here[0].grad.view(-1)[0] = float("inf")
        scaler.step(optimizer)
        scaler.update()
        assert set(smp.allgather(scaler.get_scale())) == {2.0**10 if number == 0 else 2.0**9}
        now = dict(model.local_named_parameters())
        changed = {k for k, p in now.items() if not torch.equal(p, kept[k])}
        assert changed == {k for k in now if k.startswith("enter.") and number != 1}
        if number != 1:
            assert all((p.grad.abs() < 10).all() for p in here)
    with model.join(), pytest.raises(NotImplementedError, match="drop_last=True"):
        scaler.unscale_(optimizer)  # replicas that are through would not know the scale afterwards
    print(f"scaled rank={smp.rank()}", flush=True)


class Normalized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8)
        self.norm.register_buffer("mask", torch.tensor([True, False, True]))
        self.body = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self.norm(x))


def buffers() -> None:
    """Batch norm's statistics go on from the first replica's, or each from its own."""
    for broadcast in (True, False):
        smp.state.model = smp.state.optimizer = None
        model = smp.DistributedModel(Normalized(), broadcast_buffers=broadcast)
        alone = nn.BatchNorm1d(8)
        for number in range(3):
            model.train()
            train(model, *batch(number, smp.dp_rank()))
            model.eval()
            with torch.no_grad():
                predict(model, batch(number, 5)[0])
            source = 0 if broadcast and number < 2 else smp.dp_rank()
            for piece in batch(number, source)[0].chunk(4):
                alone(piece)
        found = dict(model.local_named_buffers())
        if smp.pp_rank() == 0:
            assert found["norm.num_batches_tracked"] == 12
            torch.testing.assert_close(found["norm.running_var"], alone.running_var)
            assert found["norm.mask"].tolist() == [True, False, True]
    print(f"buffers rank={smp.rank()}", flush=True)


@smp.step
def predict(model: Any, x: torch.Tensor) -> torch.Tensor:
    return model(x)


def whole() -> None:
    """model.cpu() brings all parameters here, the next step takes them apart; a partitioned model is not converted."""
    model, optimizer = fresh(None)
    one(model, optimizer, 0)
    assert any(p.isnan().any() for p in model.parameters())
    parts = [dict(model.local_named_parameters())]
    expected = {k: v for part in smp.allgather(parts[0], smp.PP_GROUP) for k, v in part.items()}
    assert model.cpu() is model
    found = dict(model.get_module().named_parameters())
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[k], expected[k]) for k in expected)
    loss, _ = one(model, optimizer, 1)
    assert any(p.isnan().any() for p in model.parameters())
    assert all(torch.equal(found[k], p) for k, p in model.local_named_parameters())
    assert all(p.grad is not None for p in model.local_parameters())

    other, beside = fresh(None)
    one(other, beside, 0)
    assert one(other, beside, 1)[0] == pytest.approx(loss)
    assert other.to("cpu").float() is other
    with pytest.raises(RuntimeError, match=r"cannot become torch.float16"):
        other.half()
    with other.join(enable=False):
        pass
    print(f"whole rank={smp.rank()}", flush=True)


def main() -> None:
    partitions, folder = int(sys.argv[1]), Path(sys.argv[2])
    smp.init({"partitions": partitions, "microbatches": 4, "ddp": True, "fp16": True})
    for precision in DTYPES:
        trained(precision, folder, reference=partitions == 1)
    if partitions > 1:
        overflowed()
        scheduled()
        uneven()
        for precision in DTYPES:
            for partial in (True, False):
                resumed(precision, partial, folder)
        scaled()
        buffers()
        whole()


if __name__ == "__main__":
    main()
