"""How tensors came about, written down instead of done, and done later for those that are wanted.

Storages are numbered, and a tensor is written down as a view of one: so views, ``.data`` and parameters that share
their values need nothing special.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_map_only

from shardyard_runtime.torch.releases import leaves


@dataclass(frozen=True)
class Seen:
    """A tensor without storage of its own, as a view of the storage with this number."""

    storage: int
    dtype: torch.dtype
    size: torch.Size
    stride: tuple[int, ...]
    offset: int

    def of(self, storage: torch.UntypedStorage) -> torch.Tensor:
        return torch.empty(0, dtype=self.dtype).set_(storage, self.offset, self.size, self.stride)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class _Step:
    """One operation. ``state`` is that of the random generator where somebody has set it before."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Any]
    random: bool
    reads: frozenset[int]
    writes: frozenset[int]
    state: torch.Tensor | None


class Tape:
    """Operations on tensors of the meta device, in order. All random numbers come from the CPU's generator."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._numbers: dict[int, int] = {}
        self._held: list[torch.UntypedStorage] = []  # a freed one could give its address to the next
        self._state: torch.Tensor | None = None
        self._read: tuple[int, int, torch.UntypedStorage] | None = None

    def knows(self, tensor: torch.Tensor) -> bool:
        """True for a tensor of the meta device that an operation on this tape made."""
        return tensor.untyped_storage()._cdata in self._numbers

    def seen(self, tensor: torch.Tensor) -> Seen:
        storage = tensor.untyped_storage()
        number = self._numbers.setdefault(storage._cdata, len(self._numbers))
        if number == len(self._held):
            self._held.append(storage)
        return Seen(number, tensor.dtype, tensor.shape, tensor.stride(), int(tensor.storage_offset()))

    def add(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Writes down an operation of ``torch.ops`` that has been run on the meta device. A plain view is none."""
        changed = written_by(function, args, kwargs)
        reads = {self.seen(t).storage for t in leaves((args, kwargs)) if _is_meta(t)}
        writes = {self.seen(t).storage for t in leaves((changed, result)) if _is_meta(t)}
        if changed or not writes <= reads:
            random = torch.Tag.nondeterministic_seeded in function.tags
            self._write_down(function, args, kwargs, result, random, reads, writes)

    def add_call(self, function: Any, tensor: torch.Tensor, args: Any, kwargs: Any, random: bool) -> None:
        """Writes down a function that fills ``tensor``, its first argument."""
        storage = {self.seen(tensor).storage}
        self._write_down(function, (tensor, *args), kwargs, (), random, storage, storage)

    def _write_down(
        self,
        function: Any,
        args: Any,
        kwargs: Any,
        result: Any,
        random: bool,
        reads: set[int],
        writes: set[int],
    ) -> None:
        state = self._new_state() if random else None
        if "device" in kwargs:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        args, kwargs, outputs = tree_map_only(torch.Tensor, self._noted, (args, kwargs, leaves(result)))
        self._steps.append(
            _Step(function, args, kwargs, outputs, random, frozenset(reads), frozenset(writes), state)
        )

    def _noted(self, tensor: torch.Tensor) -> Any:
        return self.seen(tensor) if tensor.is_meta else tensor.detach().clone()

    def _new_state(self) -> torch.Tensor | None:
        """The generator's state where it is not what earlier steps leave: at the start, and after a manual seed."""
        now = torch.get_rng_state()
        if self._state is not None and torch.equal(now, self._state):
            return None
        self._state = now
        return now

    def value(self, tensor: torch.Tensor) -> torch.Tensor:
        """What the tensor would hold by now, as a copy. The random generator is left as it is."""
        seen = self.seen(tensor)
        written = max((i for i, step in enumerate(self._steps) if seen.storage in step.writes), default=-1)
        with _disable_current_modes():
            if self._read is None or self._read[:2] != (seen.storage, written):
                with torch.random.fork_rng(devices=[]):
                    self._read = seen.storage, written, self.play({seen.storage})[seen.storage]
            return seen.of(self._read[2]).clone()

    def play(self, wanted: Collection[int], every_draw: bool = False) -> dict[int, torch.UntypedStorage]:
        """Does what leads to these storages; holds others only as long as they are used.

        Everything random is done where they depend on it, or with ``every_draw``, and then leaves the generator as if
        all had been done at once.
        """
        steps = self._needed(wanted, every_draw)
        if not every_draw and any(step.random for step in steps):
            steps = self._needed(wanted, True)
        last = {storage: i for i, step in enumerate(steps) for storage in step.reads | step.writes}
        real: dict[int, torch.UntypedStorage] = {}
        with torch.no_grad():
            for i, step in enumerate(steps):
                _do(step, real)
                for storage in step.reads | step.writes:
                    if last[storage] == i and storage not in wanted:
                        real.pop(storage, None)
        return real

    def _needed(self, wanted: Collection[int], every_draw: bool) -> list[_Step]:
        needed, found = set(wanted), []
        for step in reversed(self._steps):
            if (every_draw and step.random) or step.writes & needed:
                found.append(step)
                needed |= step.reads | step.writes
        return found[::-1]


def _do(step: _Step, real: dict[int, torch.UntypedStorage]) -> None:
    if step.state is not None:
        torch.set_rng_state(step.state)
    args, kwargs = tree_map_only(Seen, lambda seen: seen.of(real[seen.storage]), (step.args, step.kwargs))
    made_all = leaves(step.function(*args, **kwargs))
    for seen, made in zip(
        step.outputs, made_all, strict=False
    ):  # a function that fills its argument has none noted
        if not isinstance(seen, Seen) or seen.storage in real:
            continue
        if (made.stride(), made.storage_offset()) != (seen.stride, seen.offset):
            made = torch.empty_strided(seen.size, seen.stride, dtype=seen.dtype).copy_(made)
        real[seen.storage] = made.untyped_storage()


def written_by(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """The tensors among its arguments that an operation of ``torch.ops`` changes."""
    arguments = function._schema.arguments
    given = dict(zip((a.name for a in arguments), args, strict=False)) | kwargs
    written = [given.get(a.name) for a in arguments if a.alias_info is not None and a.alias_info.is_write]
    return [leaf for leaf in leaves(written) if isinstance(leaf, torch.Tensor)]


def _is_meta(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.is_meta
