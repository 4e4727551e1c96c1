"""One rank of the memory's test: what a step leaves, what a partition holds, how many microbatches are held at once."""

from __future__ import annotations

import contextlib
import gc
import json
import queue
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

import smdistributed.modelparallel.torch as smp
from shardyard_runtime.torch.pipeline.remote_tensor import RemoteTensor

BATCH, COUNT, WIDTH, LAYERS = 32, 8, 32, 8


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm = nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.norm(torch.tanh(self.inner(x)))


class Made:
    """Weak references to the storages of what modules return here, so to activations that only autograd holds too."""

    def __init__(self, model: nn.Module) -> None:
        self.seen: list[weakref.ref[Any]] = []
        for module in model.modules():
            module.register_forward_hook(self._note)

    def _note(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if type(output) is torch.Tensor:
            self.seen.append(weakref.ref(output.untyped_storage()))

    def alive(self) -> int:
        gc.collect()
        return sum(one() is not None for one in self.seen)


class Held:
    """Counts the microbatches whose body has begun and not ended on this rank, and notes the most there were."""

    def __init__(self) -> None:
        self.now: set[int] = set()
        self.most = 0
        self.lock = threading.Lock()

    def enter(self, microbatch: int) -> None:
        with self.lock:
            self.now.add(microbatch)
            self.most = max(self.most, len(self.now))


@contextlib.contextmanager
def late_last_words() -> Iterator[None]:
    """What the leader sends to the last rank is late, in its order: a third rank's messages are there before it."""
    transport = smp.state.runtime.transport
    send, sent = transport.send, queue.Queue[Any]()

    def to(dest: int, *message: Any) -> None:
        sent.put((dest, *message)) if dest == smp.size() - 1 else send(dest, *message)

    def deliver() -> None:
        while True:
            message = sent.get()
            time.sleep(0.002)
            send(*message)
            sent.task_done()

    threading.Thread(target=deliver, daemon=True).start()
    transport.send = to
    yield
    sent.join()  # or the script might end before the last of them has left
    transport.send = send


def tensors() -> int:
    gc.collect()
    return sum(type(thing) in (torch.Tensor, nn.Parameter, RemoteTensor) for thing in gc.get_objects())


def eventually(most: int) -> bool:
    """Messages that are being sent hold their tensors until they have left."""
    deadline = time.monotonic() + 20
    while tensors() > most and time.monotonic() < deadline:
        time.sleep(0.01)
    return tensors() <= most


def main() -> None:
    parameters = json.loads(sys.argv[1])
    smp.init({"microbatches": COUNT, **parameters})
    torch.manual_seed(1)
    net = nn.Sequential(*(Block() for _ in range(LAYERS)), nn.Linear(WIDTH, 4))
    if parameters.get("offload_activations"):
        smp.set_activation_checkpointing(net, strategy="group_2")
    model = smp.DistributedModel(net)
    optimizer = smp.DistributedOptimizer(torch.optim.Adam(model.parameters()))
    made, held = Made(net), Held()
    engine = smp.state.runtime.engine
    close, put = engine._store.close, engine._store.put

    def closed(microbatch: int) -> None:
        close(microbatch)
        held.now.discard(microbatch)

    def kept(microbatch: int, value: Any, tensor: torch.Tensor) -> None:
        if not engine._store.closed(microbatch):
            held.enter(microbatch)
        put(microbatch, value, tensor)

    engine._store.close, engine._store.put = closed, kept

    @smp.step
    def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if not smp.is_tracing():
            held.enter(engine._scheduler.current.task.microbatch)
        loss = nn.functional.cross_entropy(model(x), y)
        model.backward(loss)
        return loss

    @smp.step
    def look(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return model(x).mean()

    def step(index: int) -> None:
        x, y = torch.randn(BATCH, WIDTH), torch.randint(0, 4, (BATCH,))
        optimizer.zero_grad()
        train(model, x, y)
        optimizer.step()
        with torch.no_grad():
            look(model, x)

    least = 0
    for index in range(4):
        step(index)
        smp.barrier()  # the leader's last words have arrived everywhere
        assert made.seen
        assert made.alive() == 0, index
        assert engine.clean
        if index:  # the optimizer's state is there
            least = least or tensors()
            assert eventually(least), (index, tensors(), least)
        smp.barrier()  # or the leader's next step would send here already
    print(f"nothing survives rank={smp.rank()}", flush=True)

    mine = sum(p.nbytes for p in model.local_parameters())
    whole = sum(p.nbytes for p in model.parameters())
    storages = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in model.parameters()}
    assert sum(storages.values()) <= mine + 8 * len(list(model.parameters()))
    assert sum(smp.allgather(mine, smp.PP_GROUP)) == whole
    others = {id(p) for p in model.parameters()} - {id(p) for p in model.local_parameters()}
    assert not any(id(p) in others for p in optimizer.state)
    assert all(p.grad is None for p in model.parameters() if id(p) in others)
    print(f"only its own rank={smp.rank()}", flush=True)

    held.most = 0
    with late_last_words() if engine.leads and smp.pp_size() > 2 else contextlib.nullcontext():
        step(4)
    active = smp.state.cfg.active_microbatches
    assert 0 < held.most <= active, (held.most, active)
    assert 0 < engine.max_live <= active
    print(f"at most {active} rank={smp.rank()} most={held.most}", flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()
