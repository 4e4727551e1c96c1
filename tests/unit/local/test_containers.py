from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shardyard.local.containers import ContainerHost, mounts, options
from shardyard.local.spec import Container
from tests.unit.local.jobs import job


class Engine:
    """A container whose log, while it is followed, ends too early."""

    def __init__(self, log: bytes, missed: int, step: int) -> None:
        self.log, self.missed, self.step = log, missed, step
        self.ended = False

    def wait(self) -> None:
        self.ended = True

    def logs(self, stream: bool, follow: bool) -> Iterator[bytes]:
        assert follow or self.ended
        part = self.log[: max(0, len(self.log) - self.missed)] if follow else self.log
        return (part[i : i + self.step] for i in range(0, len(part), self.step))


@given(st.binary(max_size=60), st.integers(0, 60), st.integers(1, 9))
def test_a_log_is_whole_and_nothing_twice(log: bytes, missed: int, step: int) -> None:
    assert b"".join(ContainerHost("algo-1", Engine(log, missed, step)).chunks()) == log


def test_shared_memory_is_half_of_the_machines() -> None:
    assert options(Container(), 16 << 30)["shm_size"] == 8 << 30
    assert options(Container(), 0)["shm_size"] == "1g"  # an engine that does not say what it has
    assert options(Container(shm_size=5), 16 << 30)["shm_size"] == 5
    assert options(Container(ipc="host"), 16 << 30) == {"ulimits": [], "ipc_mode": "host"}
    (given_limit,) = options(Container(ulimits={"memlock": -1}), 1)["ulimits"]
    assert (given_limit.name, given_limit.soft, given_limit.hard) == ("memlock", -1, -1)


def test_inputs_are_read_only_and_checkpoints_are_not(tmp_path: Path) -> None:
    odd = tmp_path / "a:b,c"  # would be three things in docker's short form
    made = mounts(job(tmp_path, inputs={"train": odd}, checkpoints=tmp_path / "kept"))
    assert [(one["Source"], one["Target"], one["ReadOnly"]) for one in made] == [
        (str(odd), "/opt/ml/input/data/train", True),
        (str(tmp_path / "kept"), "/opt/ml/checkpoints", False),
    ]
