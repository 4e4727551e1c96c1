"""Steps by plan: what ranks run is the plan, to the letter; what is not in it is no harm. Ranks are threads here."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shardyard_runtime.torch.pipeline.schedule.tasks import written
from shardyard_runtime.torch.pipeline.schedule.virtual_stages import virtual_stages
from tests.unit.torch.ranks_as_threads import Pipeline, Rank

KINDS = ["simple", "interleaved", "virtual_stages", "auto"]
LEARNING = 2  # steps: in the first, calls are not foreseen yet


@contextlib.contextmanager
def pipeline(model: nn.Module, owner: dict[str, int], kind: str, active: int) -> Iterator[Pipeline]:
    made = Pipeline(model, owner, kind, active)
    try:
        yield made
    finally:
        made.close()


def train(rank: Rank, x: torch.Tensor) -> torch.Tensor:
    loss = rank.model(x).square().mean()
    rank.backward(loss)
    return loss.detach()


def serial(model: nn.Module, batches: list[torch.Tensor]) -> dict[str, torch.Tensor | None]:
    twin = copy.deepcopy(model)
    for x in batches:
        twin(x).square().mean().backward()
    return {name: p.grad for name, p in twin.named_parameters()}


def equal(pipe: Pipeline, model: nn.Module, batches: list[torch.Tensor]) -> None:
    expected = serial(model, batches)
    for name, gradient in pipe.gradients().items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-6)


def chain(layers: int) -> nn.Sequential:
    torch.manual_seed(layers)
    return nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers)))


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(2, 4), st.integers(1, 6), st.sampled_from(KINDS))
def test_ranks_follow_the_plan_to_the_letter(
    data: st.DataObject, ranks: int, microbatches: int, kind: str
) -> None:
    layers = data.draw(st.integers(ranks, 7), "layers")
    parts = data.draw(st.lists(st.integers(0, ranks - 1), min_size=layers - 1, max_size=layers - 1))
    active = data.draw(st.integers(1, microbatches + 1), "active")
    model = chain(layers)
    owner = {"": 0, **{str(index): part for index, part in enumerate([*parts, ranks - 1])}}
    batches = [torch.randn(2, 4) for _ in range(microbatches)]
    with pipeline(model, owner, kind, active) as pipe:
        bits = []
        for step in range(LEARNING + 2):
            pipe.forget()
            pipe.step(train, batches)
            equal(pipe, model, batches)
            assert (pipe.plan is not None) == (step >= LEARNING)
            if pipe.plan is not None:
                assert pipe.followed()
                bits.append(pipe.gradients())
            assert all(rank.engine.clean for rank in pipe.ranks)
        assert pipe.ranks[0].engine.max_live <= active
        for name, gradient in bits[0].items():
            assert torch.equal(gradient, bits[1][name]), name  # type: ignore[arg-type]


def test_with_deterministic_algorithms_the_steps_before_the_plan_have_the_same_bits_too() -> None:
    owner = {"": 0, "0": 0, "1": 1, "2": 2, "3": 1, "4": 0}
    batches = [torch.randn(2, 4) for _ in range(6)]
    seen: list[list[torch.Tensor]] = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(3):
            with pipeline(chain(5), owner, "interleaved", 4) as pipe:
                for _ in range(LEARNING + 1):  # gradients add up over the steps
                    pipe.step(train, batches)
                seen.append([g for _, g in sorted(pipe.gradients().items()) if g is not None])
                assert pipe.followed()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for other in seen[1:] for a, b in zip(seen[0], other, strict=True))


def test_a_chain_is_scheduled_as_the_papers_have_it() -> None:
    owner = {"": 0, "0": 0, "1": 0, "2": 1, "3": 1, "4": 2, "5": 2}
    for kind, expected in (
        ("interleaved", "rank 1: 1F0 1F1 1F2 1B0 1B1 1F3 1B2 1B3"),
        ("simple", "rank 1: 1F0 1F1 1F2 1F3 1B0 1B1 1B2 1B3"),
    ):
        with pipeline(chain(6), owner, kind, 3 if kind == "interleaved" else 4) as pipe:
            for _ in range(LEARNING + 1):
                pipe.step(train, [torch.randn(2, 4) for _ in range(4)])
            assert pipe.plan is not None
            assert written(pipe.plan.schedule).splitlines()[1] == expected


@pytest.mark.parametrize(("ranks", "layers"), [(2, 4), (2, 6)])
def test_virtual_stages_run_in_megatrons_order(ranks: int, layers: int) -> None:
    model, owner = chain(layers), {"": 0, **{str(index): index % ranks for index in range(layers)}}
    batches = [torch.randn(2, 4) for _ in range(2 * ranks)]
    with pipeline(model, owner, "virtual_stages", 2 * ranks) as pipe:
        for _ in range(LEARNING + 1):
            pipe.forget()
            pipe.step(train, batches)
            equal(pipe, model, batches)
        assert pipe.followed()
        assert pipe.plan is not None
        assert pipe.plan.schedule == virtual_stages(layers, ranks, 2 * ranks)


class Middle(nn.Module):
    """Calls back to its caller's rank, and on to a third one."""

    def __init__(self) -> None:
        super().__init__()
        self.back, self.there, self.on = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.on(self.back(self.there(self.back(x))))


class Nested(nn.Module):
    owner = {"": 0, "enter": 0, "middle": 1, "middle.back": 0, "middle.there": 1, "middle.on": 2, "leave": 0}

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.middle, self.leave = nn.Linear(4, 4), Middle(), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.enter(x)
        return self.leave(self.middle(h) + h)


class Branches(nn.Module):
    """Two branches that meet; one of them is called twice."""

    owner = {"": 0, "left": 1, "right": 2, "join": 1}

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.join = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.left(x), self.right(x)
        return self.join(torch.cat([self.left(right), left * right], -1))


@pytest.mark.parametrize("kind", ["simple", "interleaved"])
@pytest.mark.parametrize("case", [Nested, Branches])
def test_calls_inside_calls_and_branches_are_followed(case: Any, kind: str) -> None:
    torch.manual_seed(1)
    model = case()
    batches = [torch.randn(2, 4) for _ in range(5)]
    with pipeline(model, case.owner, kind, 3) as pipe:
        for _ in range(6):
            pipe.forget()
            pipe.step(train, batches)
            equal(pipe, model, batches)
        assert pipe.plan is not None
        assert pipe.followed()


class Turns(nn.Module):
    """Calls another module when it is told to, which no argument shows."""

    owner = {"": 0, "near": 0, "one": 1, "two": 2, "end": 1}

    def __init__(self) -> None:
        super().__init__()
        self.near, self.one, self.two, self.end = (nn.Linear(4, 4) for _ in range(4))
        self.turns = frozenset[int]()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        h = self.near(x)
        h = self.two(h) if self.calls - 1 in self.turns else self.one(h)
        return self.end(h)


def test_a_step_that_goes_another_way_than_its_plan_goes_on_in_the_order_of_arrival() -> None:
    torch.manual_seed(3)
    model = Turns()
    batches = [torch.randn(2, 4) for _ in range(6)]
    with pipeline(model, Turns.owner, "interleaved", 3) as pipe:

        def step(turns: set[int]) -> bool:
            """Whether it began with a plan and kept to it."""
            leader = pipe.ranks[0].model
            leader.turns, leader.calls = frozenset(turns), 0
            model.turns, model.calls = frozenset(turns), 0
            pipe.forget()
            pipe.step(train, batches)
            equal(pipe, model, batches)
            return pipe.plan is not None and pipe.followed()

        assert [step(set()) for _ in range(3)] == [False, False, True]
        assert not step({2})
        assert pipe.plan is not None  # it began with one
        assert [step({2}) for _ in range(3)] == [False, True, True]  # recorded, and planned anew
        first = pipe.plan.number
        assert not step(set())
        assert [step(set()) for _ in range(2)] == [False, True]
        assert pipe.plan is not None
        assert pipe.plan.number != first
        assert not step({0, 5})
        assert [step(set()) for _ in range(2)] == [False, False]  # three times are enough
        assert pipe.plan is None


def looks_at_values(module: nn.Module, args: Any, output: torch.Tensor) -> None:
    output.sum().item()


def test_a_call_that_fails_and_is_caught_leaves_the_plan() -> None:
    torch.manual_seed(4)
    model = Turns()
    batches = [torch.randn(2, 4) for _ in range(4)]

    def careful(rank: Rank, x: torch.Tensor) -> torch.Tensor:
        h = rank.model.near(x)
        try:
            h = rank.model.one(h)
        except ArithmeticError:
            h = rank.model.two(h)
        loss = rank.model.end(h).square().mean()
        rank.backward(loss)
        return loss.detach()

    with pipeline(model, Turns.owner, "interleaved", 3) as pipe:  # not foreseen: its answer is waited for
        owner = pipe.ranks[1].model.one
        owner.register_forward_hook(looks_at_values)
        for _ in range(3):
            pipe.step(careful, batches)
        assert pipe.followed()
        fails = [False, True, False, True]

        def hook(*_: Any) -> None:
            if fails.pop():
                raise ArithmeticError

        handle = owner.register_forward_pre_hook(hook)
        pipe.forget()
        pipe.step(careful, batches)
        assert not any(rank.engine._agreement.course.follows for rank in pipe.ranks)
        assert pipe.ranks[2].model.two.weight.grad is not None
        handle.remove()
        assert all(rank.engine.clean for rank in pipe.ranks)
        for _ in range(2):
            pipe.step(careful, batches)
        assert pipe.plan is not None
        assert pipe.followed()


def test_an_error_in_a_planned_step_is_raised_and_the_next_step_is_planned() -> None:
    model = chain(4)
    owner = {"": 0, "0": 0, "1": 1, "2": 2, "3": 1}
    batches = [torch.randn(2, 4) for _ in range(4)]
    with pipeline(model, owner, "interleaved", 3) as pipe:
        for _ in range(3):
            pipe.step(train, batches)
        broken = [*batches[:2], torch.randn(2, 5), batches[3]]
        with pytest.raises(RuntimeError):
            pipe.step(train, broken)
        pipe.forget()
        pipe.step(train, batches)
        equal(pipe, model, batches)
        assert pipe.followed()


def test_evaluation_has_a_plan_of_its_own() -> None:
    model = chain(5)
    owner = {"": 0, "0": 0, "1": 1, "2": 2, "3": 1, "4": 2}
    batches = [torch.randn(2, 4) for _ in range(4)]

    def evaluate(rank: Rank, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return rank.model(x)

    with pipeline(model, owner, "interleaved", 3) as pipe:
        for _ in range(4):
            pipe.forget()
            pipe.step(train, batches, "train")
            trained = pipe.plan
            seen = pipe.step(evaluate, batches, "evaluate")
            for x, y in zip(batches, seen, strict=True):
                torch.testing.assert_close(y, model(x).detach())
            evaluated = pipe.plan
        assert pipe.followed()
        assert trained is not None
        assert evaluated is not None
        assert trained.number != evaluated.number
        assert "B" not in written(evaluated.schedule)
