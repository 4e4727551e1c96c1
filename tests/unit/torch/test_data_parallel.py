"""What replicas agree on, when a parameter has all its gradients, and what a bucket does with them."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from shardyard_runtime.torch.data_parallel.arrivals import Arrivals
from shardyard_runtime.torch.data_parallel.buckets import Bucket, grouped
from shardyard_runtime.torch.data_parallel.exchange import Agreed, Said


def test_the_last_gradient_is_known_from_the_step_before_of_the_same_function() -> None:
    def first() -> None: ...
    def second() -> None: ...

    seen: list[tuple[int, bool]] = []
    arrivals = Arrivals(lambda place, parameter, last: seen.append((place, last)))
    net = [nn.Parameter(torch.ones(2)) for _ in range(3)]
    net[2].requires_grad_(False)

    def step(function: object, backwards: list[int]) -> list[tuple[int, bool]]:
        seen.clear()
        arrivals.open(function, net)
        for place in backwards:
            net[place].sum().backward()
        arrivals.close()
        net[0].sum().backward()  # the script's own, after the step
        return list(seen)

    assert step(first, [1, 0, 1]) == [(1, False), (0, False), (1, False)]
    assert arrivals.outstanding([0, 1]) == 2
    assert arrivals.in_order([0, 1, 2]) == [1, 0, 2]
    arrivals.learn([True, True, False])
    assert step(first, [1, 0, 1]) == [(1, False), (0, True), (1, True)]
    assert arrivals.outstanding([0, 1, 2]) == 2
    assert step(second, [1, 0, 1]) == [(1, False), (0, False), (1, False)]
    arrivals.learn([True, True, True])
    assert (
        arrivals.outstanding([0, 1, 2]) == 3
    )  # of the frozen one there is a gradient, and it was not seen to come
    assert step(first, [1, 1, 1]) == [(1, False), (1, True), (1, False)]  # one comes after the last


@given(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from([torch.float32, torch.float16])), max_size=12),
    st.randoms(use_true_random=False),
)
def test_buckets_keep_the_order_and_hold_one_dtype_up_to_the_cap(sizes: list, random: object) -> None:
    parameters = [nn.Parameter(torch.empty(size, dtype=dtype)) for size, dtype in sizes]
    order = list(range(len(parameters)))
    random.shuffle(order)  # type: ignore[attr-defined]
    runs = grouped(parameters, order, 100)
    assert list(itertools.chain(*runs)) == order
    for run in runs:
        held = [parameters[place] for place in run]
        assert len({p.dtype for p in held}) == 1
        assert len(run) == 1 or sum(p.numel() * p.element_size() for p in held) <= 100


@pytest.mark.parametrize("as_view", [False, True])
def test_a_bucket_takes_gradients_and_gives_them_back(as_view: bool) -> None:
    parameters = [nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))]
    bucket = Bucket(parameters, [2, 0], as_view)
    parameters[0].grad = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    bucket.adopt(0, parameters[0])
    assert (parameters[0].grad.untyped_storage().data_ptr() == bucket.buffer.data_ptr()) == as_view
    bucket.take()
    assert bucket.buffer.tolist() == [0, 1, 2, 3, 4]
    assert parameters[0].grad is None
    bucket.give(bucket.buffer, 2, [True, False, True])
    assert parameters[0].grad.tolist() == [[0.5, 1], [1.5, 2]]
    assert parameters[2].grad.tolist() == [0]
    bucket.take()
    bucket.give_up()
    assert (
        parameters[0].grad is None
    ) == as_view  # what was in the buffer may still be changed by the reduction
    parameters[0].grad = None
    bucket.take()
    bucket.give(bucket.buffer, 2, [False, False, False])
    assert parameters[0].grad is None


def test_a_gradient_counts_where_it_is_on_any_replica() -> None:
    agreed = Agreed.of(
        [
            Said([True, False, False], new=[0], launched=2),
            Said(None, joined=True),
            Said([False, True, False], new=[1, 0], late=[1], launched=1),
        ]
    )
    assert agreed == Agreed([True, True, False], new=[0, 1], late=[1], launched=2, training=2)
    assert Agreed.of([Said(None), Said(None)]).present is None
