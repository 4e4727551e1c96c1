"""What each schedule would make of a step: the numbers of microbatches that are asked for, and the table of predictions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from shardyard.errors import ProjectError

_MOST = 1024  # microbatches: the simulation of more takes minutes


def counts(text: str) -> list[int]:
    """``8``, ``4,6,8`` or ``1..32``: doubled from the first on, and the last. Raises ProjectError for anything else."""
    found = re.fullmatch(r"([0-9]{1,9})\.\.([0-9]{1,9})", text.strip())
    words = text.split(",")
    if found is not None:
        first, last = int(found[1]), int(found[2])
        numbers = [first << power for power in range(32) if first << power < last] + [last]
    elif all(re.fullmatch(r"\s*[0-9]{1,9}\s*", word) for word in words):
        first, numbers = 0, sorted({int(word) for word in words})
    else:
        first, numbers = 0, []
    if not numbers or numbers[0] < 1 or numbers[-1] > _MOST or first > numbers[-1]:
        raise ProjectError(
            f"--microbatches {text!r} says no numbers of microbatches from 1 to {_MOST}: write 8, 4,6,8 or 1..32"
        )
    return numbers


def table(predictions: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line a schedule; of those that a job can have with as many microbatches the fastest is marked."""
    yield "step time: 1 is one microbatch through the whole model, forward and backward, on one device; sending takes none"
    yield f"{'microbatches':>12}  {'schedule':<15} {'step time':>9} {'speed-up':>9} {'idle':>6}  memory by rank, MiB"
    before = None
    for one in predictions:
        memory = " ".join(f"{size / 2**20:,.1f}" for size in one["peak_bytes"])
        number = one["microbatches"] if one["microbatches"] != before else ""
        before = one["microbatches"]
        mark = "  ◀ fastest" if one["best"] else ""
        late = "  (not built yet)" if not one["built"] else ""
        yield (
            f"{number:>12}  {one['schedule']:<15} {one['step_time']:>9.2f} {one['speedup']:>8.2f}× "
            f"{one['idle_share']:>6.1%}  {memory}{mark}{late}"
        )
