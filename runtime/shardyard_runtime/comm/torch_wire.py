"""Messages on their way: what a header says, and what is still to leave or to come."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any

import torch

from shardyard_runtime.comm.torch_codec import flatten, to_wire, unflatten
from shardyard_runtime.comm.torch_links import Links, Spec, Transfer

HEADER, DATA, CONTROL = 1, 2, 3  # MPI tags


@dataclass(frozen=True)
class Header:
    """``specs`` are shape, dtype and device type of each tensor, ``linked`` those that go by a link."""

    key: Any
    structure: bytes
    specs: list[tuple[tuple[int, ...], torch.dtype, str]]
    linked: list[int]
    transfer: int

    def link_specs(self) -> list[Spec]:
        return [self.specs[index][:2] for index in self.linked]

    def buffers(self) -> list[torch.Tensor]:
        """Tensors for MPI to fill; what goes by a link takes the place of an empty one later."""
        linked = set(self.linked)
        return [
            torch.empty((0,) if index in linked else shape, dtype=dtype)
            for index, (shape, dtype, _) in enumerate(self.specs)
        ]


@dataclass(frozen=True)
class Ready:
    """The receives of a transfer are posted."""

    transfer: int


@dataclass(eq=False)
class Outgoing:
    dest: int
    tag: int
    head: bytes
    tensors: list[torch.Tensor] = field(default_factory=list)
    transfer: Transfer | None = None
    number: int = -1
    requests: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Incoming:
    header: Header
    tensors: list[torch.Tensor]
    requests: list[Any]
    transfer: Transfer | None

    def object(self) -> Any:
        """What was sent, once all of it is here."""
        if self.transfer is not None:
            for index, tensor in zip(self.header.linked, self.transfer.tensors, strict=True):
                self.tensors[index] = tensor
        devices = [device for _, _, device in self.header.specs]
        tensors = [t.to(device) for t, device in zip(self.tensors, devices, strict=True)]
        return unflatten(self.header.structure, tensors)


def outgoing(dest: int, key: Any, obj: Any, links: Links | None) -> Outgoing:
    """A message, with its tensors as they are now."""
    structure, tensors = flatten(obj)
    specs = [(tuple(t.shape), t.dtype, t.device.type) for t in tensors]
    linked = [i for i, t in enumerate(tensors) if links is not None and links.carries(t, dest)]
    out = Outgoing(dest, HEADER, b"")
    if linked and links is not None:
        straight = [tensors[i].detach().contiguous().resolve_conj().resolve_neg() for i in linked]
        out.transfer, out.number = Transfer(straight, start=links.started()), id(out)
    out.head = pickle.dumps(Header(key, structure, specs, linked, out.number), protocol=5)
    out.tensors = [to_wire(t) for i, t in enumerate(tensors) if i not in linked]
    return out


def control(dest: int, message: Any) -> Outgoing:
    """A message beside the order of the others, without tensors."""
    return Outgoing(dest, CONTROL, pickle.dumps(message, protocol=5))
