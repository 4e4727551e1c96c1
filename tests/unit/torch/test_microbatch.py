"""Arguments into microbatches, results back together."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, fields
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.torch.microbatch import StepOutput, join, split

Pair = namedtuple("Pair", ["left", "right"])


@dataclass
class Output(OrderedDict):  # type: ignore[type-arg]
    """As Hugging Face's ModelOutput: a dataclass and a dict of its fields that are not None."""

    loss: Any = None
    logits: Any = None

    def __post_init__(self) -> None:
        for one in fields(self):
            if getattr(self, one.name) is not None:
                self[one.name] = getattr(self, one.name)


class Ragged:
    def smp_slice(self, num_mb: int, mb: int, axis: int) -> tuple[int, int, int]:
        return (num_mb, mb, axis)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2))
def test_split_then_concat_is_the_batch(count: int, each: int, axis: int) -> None:
    shape = [2, 3, 2]
    shape[axis] = count * each
    batch = torch.randn(shape)
    parts = split(batch, count, axis, "x")
    assert [p.size(axis) for p in parts] == [each] * count
    assert torch.equal(torch.cat(parts, axis), batch)


def test_containers_are_split_inside_and_keep_their_type() -> None:
    x, y = torch.arange(4), torch.arange(8).view(4, 2)
    value = {"pair": Pair(x, [y, 7]), "name": "n", "scalar": torch.tensor(3.0)}
    parts = split(value, 2, 0, "batch")
    for index, part in enumerate(parts):
        rows = slice(2 * index, 2 * index + 2)
        assert type(part["pair"]) is Pair
        assert torch.equal(part["pair"].left, x[rows])
        assert torch.equal(part["pair"].right[0], y[rows])
        assert (part["pair"].right[1], part["name"], part["scalar"].item()) == (7, "n", 3.0)
    assert type(split(OrderedDict(a=x), 2, 0, "x")[0]) is OrderedDict
    assert type(split((x,), 2, 0, "x")[0]) is tuple


def test_an_object_can_cut_itself() -> None:
    assert split([Ragged()], 2, 1, "x") == [[(2, 0, 1)], [(2, 1, 1)]]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (torch.zeros(5, 2), "'batch'"),
        ({"mask": torch.zeros(5)}, "batch['mask']"),
        ([torch.zeros(4), torch.zeros(5)], "batch[1]"),
    ],
)
def test_an_uneven_batch_is_refused_by_name(value: Any, name: str) -> None:
    with pytest.raises(ValueError, match="5 samples along dimension 0, which 2 microbatches") as caught:
        split(value, 2, 0, "batch")
    assert name in str(caught.value)


def test_join_tensors() -> None:
    joined = join([torch.full((2,), float(i), requires_grad=True) for i in range(4)])
    assert isinstance(joined, StepOutput)
    assert not any(o.requires_grad for o in joined.outputs)
    assert joined.reduce_mean().tolist() == [1.5, 1.5]
    assert joined.reduce_sum().tolist() == [6, 6]
    assert joined.concat().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert joined.stack().shape == (4, 2)


def test_join_containers_keep_their_type() -> None:
    def result(i: int) -> Any:
        return {"pair": Pair(torch.tensor(i), i), "row": [torch.tensor(i)], "none": None, "both": (i, str(i))}

    joined = join([result(i) for i in range(2)])
    assert type(joined["pair"]) is Pair
    assert joined["pair"].left.stack().tolist() == [0, 1]
    assert joined["pair"].right == [0, 1]
    assert joined["row"][0].stack().tolist() == [0, 1]
    assert joined["none"] is None
    assert joined["both"] == ([0, 1], ["0", "1"])


def test_join_model_output() -> None:
    joined = join([Output(loss=torch.tensor(float(i))) for i in range(2)])
    assert type(joined) is Output
    assert joined.loss.reduce_mean().item() == 0.5
    assert joined["loss"] is joined.loss
    assert joined.logits is None


def test_join_mapping_with_keys_that_are_no_names() -> None:
    joined = join([OrderedDict({0: torch.tensor(i)}) for i in range(2)])
    assert type(joined) is OrderedDict
    assert joined[0].stack().tolist() == [0, 1]


def test_join_numbers_is_a_list() -> None:
    assert join([1.5, 2.5]) == [1.5, 2.5]
    assert join([None, None]) is None


def test_join_what_differs_between_microbatches() -> None:
    one = torch.ones(1, requires_grad=True)
    first, second = join([None, one])
    assert first is None
    assert not second.requires_grad
    boxes = join([[one], [one, one]])
    assert [len(row) for row in boxes] == [1, 2]
    assert not boxes[1][1].requires_grad
    with pytest.raises(ValueError, match=r"\[\['loss'\], \['loss', 'extra'\]\]. Return the same keys"):
        join([{"loss": one}, {"loss": one, "extra": one}])


def test_reductions_of_counts_and_of_graphs() -> None:
    assert join([torch.tensor(3), torch.tensor(4)]).reduce_mean().item() == 3.5
    assert join([torch.tensor(True), torch.tensor(False)]).reduce_mean().item() == 0.5
    weight = torch.ones(2, requires_grad=True)
    kept = join([weight * 2, weight * 4], detach=False)
    (kept.reduce_mean() + kept.reduce_sum()).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [9, 9]


def test_a_set_is_split_inside() -> None:
    parts = split({torch.arange(4)}, 2, 0, "x")
    assert [type(part) for part in parts] == [set, set]
    assert [next(iter(part)).tolist() for part in parts] == [[0, 1], [2, 3]]


def test_a_defaultdict_stays_one() -> None:
    batch: defaultdict[str, list[torch.Tensor]] = defaultdict(list, x=[torch.arange(4)])
    first, second = split(batch, 2, 0, "batch")
    assert first.default_factory is list
    assert torch.equal(second["x"][0], torch.tensor([2, 3]))


def test_a_change_of_one_microbatch_leaves_what_autograd_saved_of_another() -> None:
    weight = torch.ones(4, requires_grad=True)
    first, second = split(torch.arange(4.0), 2, 0, "x")
    saved = (weight[:2] * second).sum()
    first *= 2
    saved.backward()
    assert torch.equal(weight.grad, torch.tensor([2.0, 3.0, 0.0, 0.0]))
    leaf = torch.ones(4, requires_grad=True)
    sum(piece.sum() for piece in split(leaf, 2, 0, "leaf")).backward()  # type: ignore[union-attr]
    assert torch.equal(leaf.grad, torch.ones(4))
