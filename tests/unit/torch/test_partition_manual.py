"""Manual partitioning: contexts around construction, and marks on modules."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from shardyard_runtime.torch.partition.manual import assign, mark, partition
from shardyard_runtime.torch.state import state


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.default = nn.Linear(2, 2)
        with partition(1):
            self.one = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
            with partition(2):
                self.two = nn.Linear(2, 2)
            self.back = nn.Linear(2, 2)
        self.after = nn.Linear(2, 2)


def test_contexts_nest_and_end() -> None:
    before = nn.Module.__init__
    owner = assign(Net(), 3, default=0)
    assert nn.Module.__init__ is before
    expected = {"": 0, "default": 0, "one": 1, "one.0": 1, "one.1": 1, "two": 2, "back": 1, "after": 0}
    assert owner == expected


def test_the_default_is_for_what_has_no_mark() -> None:
    owner = assign(Net(), 3, default=2)
    assert (owner[""], owner["default"], owner["one"]) == (2, 2, 1)


def test_a_mark_covers_what_has_no_mark_below_it() -> None:
    root = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 2))
    mark(root[0], 1)
    mark(root[0][1], 2)
    assert assign(root, 3, default=0) == {"": 0, "0": 1, "0.0": 1, "0.1": 2, "1": 0}


def test_a_failed_construction_leaves_the_context() -> None:
    before = nn.Module.__init__
    with pytest.raises(ZeroDivisionError), partition(1), partition(2):
        _ = 1 / 0
    assert nn.Module.__init__ is before
    assert assign(nn.Linear(2, 2), 3, default=0) == {"": 0}


def test_a_mark_beyond_the_partitions_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="two is set to partition 2 of 2"):
        assign(Net(), 2, default=0)


@pytest.mark.parametrize("wrong", [-1, 1.5, "0", True, None])
def test_what_is_no_partition_is_refused_at_its_line(wrong: Any) -> None:
    with pytest.raises(ValueError, match="partition must be an integer"):
        mark(nn.Linear(2, 2), wrong)
    with pytest.raises(ValueError, match="partition must be an integer"), partition(wrong):
        nn.Linear(2, 2)


def test_shared_parameters_apart_are_refused_by_name() -> None:
    root = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    root[1].weight = root[0].weight
    assert assign(root, 2, default=0) == {"": 0, "0": 0, "1": 0}
    mark(root[1], 1)
    with pytest.raises(ValueError, match=r"1\.weight is shared with 0 but set to partition 1, not 0"):
        assign(root, 2, default=0)


def test_a_mark_after_partitioning_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net, other = Net(), Net()
    monkeypatch.setattr(state, "model", SimpleNamespace(partitioned=True, modules=net.modules))
    with pytest.raises(RuntimeError, match="came after the first step"):
        mark(net.one, 1)
    mark(other.one, 1)
