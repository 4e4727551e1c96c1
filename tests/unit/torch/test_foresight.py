"""Which runs of a module make its next one foreseeable."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from shardyard_runtime.torch.pipeline.foresight import ValuesRead
from shardyard_runtime.torch.pipeline.randomness import Streams

X = torch.arange(6.0).view(2, 3)
LOOKS: dict[str, Callable[[], object]] = {
    "item": lambda: X.sum().item(),
    "a branch": lambda: 1 if X.sum() > 0 else 2,
    "nonzero": lambda: X.nonzero(),
    "a mask": lambda: X[X > 2],
    "masked_select": lambda: X.masked_select(X > 2),
    "unique": lambda: X.unique(),
    "repeats": lambda: X.repeat_interleave(torch.tensor([1, 2]), dim=0),
    "in a loop": lambda: [float(one) for one in X[0]],
}
DOES_NOT: dict[str, Callable[[], object]] = {
    "arithmetic": lambda: (X @ X.T).softmax(-1).sum(),
    "indices": lambda: X[torch.tensor([1, 0, 1])],
    "where": lambda: torch.where(X > 2, X, 0),
    "views": lambda: X.view(3, 2)[1:].chunk(2),
    "attention": lambda: torch.nn.functional.scaled_dot_product_attention(X[None], X[None], X[None]),
    "dropout": lambda: torch.nn.functional.dropout(X, 0.5),
    # What every call of a container inside a module does: no value of the model's.
    "a stream of its own": Streams(torch.device("cpu")).draw,
}


@pytest.mark.parametrize("name", [*LOOKS, *DOES_NOT])
def test_a_run_that_looked_at_values_is_noticed(name: str) -> None:
    with ValuesRead() as watch:
        (LOOKS.get(name) or DOES_NOT[name])()
    assert watch.seen is (name in LOOKS)
