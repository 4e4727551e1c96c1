"""One rank of the state's test: save, load and go on; refusals; what is left in memory. Argument: a folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from tests.integration.engine.models import MODELS

NAMES = ("skips", "tied")


@smp.step
def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    loss = nn.functional.cross_entropy(model(x), y)
    model.backward(loss)
    return loss


def fresh(name: str, seed: int) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    smp.state.model = smp.state.optimizer = None  # one model a script; the test makes several
    model = smp.DistributedModel(MODELS[name]())
    return model, smp.DistributedOptimizer(torch.optim.Adam(model.parameters(), 0.01))


def trained(model: Any, optimizer: Any, first: int, last: int) -> list[float]:
    losses = []
    for number in range(first, last):
        draw = torch.Generator().manual_seed(number)
        x = torch.randn(8, 8, generator=draw)
        y = torch.randint(0, 4, (8,), generator=draw)
        optimizer.zero_grad()
        losses.append(train(model, x, y).reduce_mean().item())
        optimizer.step()
    return losses


def same(losses: list[float], expected: list[float]) -> bool:
    """Up to the order in which the microbatches' gradients were added."""
    return losses == pytest.approx(expected, rel=1e-5)


def memory(model: Any) -> None:
    engine = smp.state.runtime.engine
    assert engine.clean
    local = {id(p) for p in model.local_parameters()}
    held = [p for p in model.parameters() if id(p) not in local]
    assert held
    assert local
    for parameter in held:
        assert parameter.untyped_storage().nbytes() <= 8 < parameter.numel() * parameter.element_size()
        assert parameter.grad is None
    assert all(p.untyped_storage().nbytes() >= p.numel() * p.element_size() for p in model.local_parameters())


def resumed(name: str, how: str, expected: list[float], load: Callable[[Any, Any], None]) -> None:
    model, optimizer = fresh(name, seed=99)
    load(model, optimizer)
    assert same(trained(model, optimizer, 2, 5), expected), (name, how)
    memory(model)

    # The same into a model that has been partitioned, and trained to something else.
    model, optimizer = fresh(name, seed=98)
    trained(model, optimizer, 0, 1)
    load(model, optimizer)
    assert same(trained(model, optimizer, 2, 5), expected), (name, how, "after the first step")
    print(f"resumed {name} {how} rank={smp.rank()}", flush=True)


def run(name: str, folder: Path) -> None:
    partial, full = folder / f"{name}.partial", folder / f"{name}.full"
    model, optimizer = fresh(name, seed=1)
    trained(model, optimizer, 0, 2)
    memory(model)
    smp.save(
        {"model": model.local_state_dict(), "optimizer": optimizer.local_state_dict()}, partial, partial=True
    )
    assert Path(f"{partial}_{smp.pp_rank()}_0").exists()
    whole = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    assert set(whole["model"]) == set(MODELS[name]().state_dict())
    assert len(whole["optimizer"]["state"]) == len(list(model.parameters()))
    gathered = model.state_dict(gather_to_rank0=True)
    assert set(gathered) == (set(whole["model"]) if smp.rank() == 0 else set())
    if smp.rank() == 0:
        smp.save(whole, full, partial=False)
    expected = trained(model, optimizer, 2, 5)
    smp.barrier()

    def load_partial(model: Any, optimizer: Any) -> None:
        saved = smp.load(partial, partial=True)
        assert saved["model"]["_smp_is_partial"] is True
        assert set(saved["model"]) - {"_smp_is_partial"} < set(whole["model"])
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])

    def load_full(model: Any, optimizer: Any) -> None:
        saved = smp.load(full, partial=False)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])

    def load_without_optimizer(model: Any, optimizer: Any) -> None:
        model.load_state_dict(smp.load(full, partial=False)["model"])

    resumed(name, "partial", expected, load_partial)
    resumed(name, "full", expected, load_full)
    other, forgetful = fresh(name, seed=99)
    load_without_optimizer(other, forgetful)
    assert not same(trained(other, forgetful, 2, 5), expected), (
        "the optimizer's state makes no difference: a weak test"
    )

    plain = MODELS[name]()
    plain.load_state_dict(whole["model"])  # a full dict is a plain one
    key = next(k for k in whole["model"] if k in other.local_state_dict())
    with pytest.raises(RuntimeError, match=f"'{re.escape(key)}'"):
        other.load_state_dict({k: v for k, v in whole["model"].items() if k != key})


def refusals(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no checkpoint of partition {smp.pp_rank()}"):
        smp.load(folder / "nothing")
    print(f"refused rank={smp.rank()}", flush=True)


def main() -> None:
    folder = Path(sys.argv[1])
    smp.init({"partitions": 2, "microbatches": 4})
    for name in NAMES:
        run(name, folder)
    refusals(folder)
    smp.barrier()
    if smp.rank() == 0:
        assert not list(folder.glob("*.tmp"))


if __name__ == "__main__":
    main()
