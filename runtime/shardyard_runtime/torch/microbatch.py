"""Splitting the arguments of a step into microbatches, and joining what the microbatches return."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch


class StepOutput:
    """One tensor a microbatch, as a step returns it."""

    def __init__(self, outputs: Sequence[torch.Tensor]) -> None:
        self.outputs = list(outputs)

    def reduce_mean(self) -> torch.Tensor:
        """Mean over microbatches, elementwise."""
        stacked = torch.stack(self.outputs)
        if stacked.is_floating_point() or stacked.is_complex():
            return stacked.mean(0)
        return stacked.sum(0) / len(self.outputs)  # of counts: torch has no mean of whole numbers

    def reduce_sum(self) -> torch.Tensor:
        return torch.stack(self.outputs).sum(0)

    def concat(self) -> torch.Tensor:
        """Joined along dimension 0, the batch."""
        return torch.cat(self.outputs, 0)

    def stack(self) -> torch.Tensor:
        """Joined along a new first dimension, the microbatches."""
        return torch.stack(self.outputs)

    def __repr__(self) -> str:
        return f"StepOutput({self.outputs!r})"


def split(value: Any, count: int, axis: int, name: str) -> list[Any]:
    """One value a microbatch. Tensors in dicts, lists, tuples and sets are cut along ``axis``; the rest is repeated.

    An object with ``smp_slice(num_mb, mb, axis)`` cuts itself. Raises ValueError for an uneven batch.
    """
    if isinstance(value, torch.Tensor):
        if value.dim() == 0:
            return [value] * count
        if value.size(axis) % count:
            raise ValueError(
                f"argument {name!r} has {value.size(axis)} samples along dimension {axis}, which {count} microbatches "
                "do not divide. Use drop_last=True in the data loader, or another number of microbatches"
            )
        pieces = value.chunk(count, axis)
        # Views share one version counter: a change of one in place would spoil what autograd saved of the others.
        return [piece if piece.requires_grad else piece.data for piece in pieces]
    if hasattr(value, "smp_slice"):
        return [value.smp_slice(count, index, axis) for index in range(count)]
    if isinstance(value, Mapping):
        parts = {key: split(item, count, axis, f"{name}[{key!r}]") for key, item in value.items()}
        return [rebuilt(value, {key: part[i] for key, part in parts.items()}) for i in range(count)]
    if isinstance(value, list | tuple | set | frozenset):
        columns = [split(item, count, axis, f"{name}[{i}]") for i, item in enumerate(value)]
        rows = [[column[i] for column in columns] for i in range(count)]
        return [type(value)(*row) if hasattr(value, "_fields") else type(value)(row) for row in rows]
    return [value] * count


def rebuilt(original: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """A mapping of the original's own type (Hugging Face's BatchEncoding among them) where it takes a dict."""
    if isinstance(original, defaultdict):
        return defaultdict(original.default_factory, items)
    return type(original)(items)  # type: ignore[call-arg]


def join(results: Sequence[Any], detach: bool = True) -> Any:
    """Per-microbatch results turned inside out: tensors become StepOutput, containers keep their type.

    What differs in kind or number from one microbatch to another becomes a plain list, one entry a microbatch.
    """
    if detach:
        results = [r.detach() if isinstance(r, torch.Tensor) else r for r in results]
    if all(isinstance(result, torch.Tensor) for result in results):
        return StepOutput(results)
    first = results[0]
    if len({type(result) for result in results}) > 1:
        return list(results)  # None from some microbatches, say
    if isinstance(first, list) and len({len(result) for result in results}) > 1:
        return [[r.detach() if detach and isinstance(r, torch.Tensor) else r for r in row] for row in results]
    if isinstance(first, dict):
        if any(result.keys() != first.keys() for result in results):
            raise ValueError(
                "the step function returned dicts with other keys for one microbatch than for another: "
                f"{[list(result) for result in results]}. Return the same keys each time, None where there is nothing"
            )
        joined = {key: join([r[key] for r in results], detach) for key in first}
        return joined if type(first) is dict else type(first)(**joined)
    if isinstance(first, list | tuple):
        rows = [join([r[i] for r in results], detach) for i in range(len(first))]
        return type(first)(*rows) if hasattr(first, "_fields") else type(first)(rows)
    if first is None:
        return None
    return list(results)
