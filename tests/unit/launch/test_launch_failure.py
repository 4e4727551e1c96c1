from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.launch.cluster import Cluster
from shardyard_runtime.launch.evidence import Evidence, decide
from shardyard_runtime.launch.exit_codes import exit_status
from shardyard_runtime.launch.logs import retag
from shardyard_runtime.launch.outcome import Outcome
from shardyard_runtime.launch.records import LIMIT, FailureRecord, load_all, root_cause, save

CLUSTER = Cluster(("algo-1", "algo-2"), 2)
FRAME = '  File "/opt/ml/code/train.py", line 3, in main\n    step(batch)'


def record(time: float = 1.0, rank: int = 3, **options: object) -> FailureRecord:
    given = {"host": "algo-2", "exception": "ValueError", "message": "no", "exit_code": 1, "frames": [FRAME]}
    return FailureRecord(time=time, rank=rank, **{**given, **options})  # type: ignore[arg-type]


def test_the_cause_stands_first() -> None:
    assert record().summary() == f"rank 3 on algo-2: ValueError: no\n{FRAME}"


@given(st.text(max_size=3000), st.lists(st.text(max_size=400), max_size=6))
def test_a_summary_fits_and_keeps_its_head(message: str, frames: list[str]) -> None:
    text = record(message=message, frames=frames).summary()
    assert len(text) <= LIMIT
    assert text.startswith("rank 3 on algo-2: ValueError")


def test_a_long_message_leaves_room_for_the_last_frame() -> None:
    text = record(message="x" * 5000).summary()
    assert text.endswith(FRAME)


def test_records_travel_through_files(tmp_path: Path) -> None:
    saved = [record(rank=0, message="\ud800 odd"), record(rank=10)]
    for item in saved:
        save(item, tmp_path)
    assert sorted(load_all(tmp_path), key=lambda item: item.rank) == saved


def test_the_earliest_that_is_no_consequence() -> None:
    late, early, consequence = record(2.0, 1), record(1.5, 2), record(1.0, 0, follow_up=True)
    assert root_cause([late, consequence, early]) is early
    assert root_cause([consequence]) is consequence
    assert root_cause([]) is None


def test_success_only_without_any_record() -> None:
    assert decide(Evidence(0), CLUSTER) == Outcome(0)
    assert decide(Evidence(0, [record(exit_code=7)]), CLUSTER).exit_code == 7


SIGNALLED = (
    "prterun noticed that process rank 3 with PID 77 on node algo-2 exited on\nsignal 11 (Segmentation)."
)
CODED = "  Process name: [[27389,1],1]\n  Exit code:    9"
CODED_5 = "   Process name: [prterun-host-77@1,1]\n   Exit code:    9"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (SIGNALLED, 139, "rank 3 on algo-2: ended by signal 11 (SIGSEGV)"),
        (CODED, 9, "rank 1 on algo-1: ended with exit code 9"),
        (CODED_5, 9, "rank 1 on algo-1: ended with exit code 9"),
        ("cannot find orted", 3, "mpirun ended with exit code 3:\ncannot find orted"),
    ],
)
def test_what_mpirun_says_names_the_rank(words: str, code: int, text: str) -> None:
    outcome = decide(Evidence(3, own_words=words.splitlines()), CLUSTER)
    assert outcome.exit_code == code
    assert outcome.text.startswith(text)


def test_a_lost_host_explains_what_followed_but_not_what_came_before() -> None:
    after = decide(Evidence(1, [record(5.0)], lost_host="algo-2", lost_at=4.0), CLUSTER)
    assert after.text.startswith("host algo-2 left the job")
    before = decide(Evidence(1, [record(3.0)], lost_host="algo-2", lost_at=4.0), CLUSTER)
    assert before.text.startswith("rank 3 on algo-2: ValueError")


def test_a_stop_is_told_with_its_host() -> None:
    outcome = decide(Evidence(143, stop_signal=15, stopped_on="algo-2"), CLUSTER)
    assert outcome.exit_code == 143
    assert outcome.text.startswith("SIGTERM reached the launcher on algo-2")


def test_a_reason_of_the_user_stands(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "failure").write_text("mine")
    Outcome(1, "ours").write(tmp_path)
    assert (tmp_path / "output" / "failure").read_text() == "mine"


def test_success_leaves_no_failure(tmp_path: Path) -> None:
    Outcome(0).write(tmp_path)
    assert [path.name for path in (tmp_path / "output").iterdir()] == ["success"]


def test_signals_count_from_128() -> None:
    assert [exit_status(code) for code in (0, 7, -9)] == [0, 7, 137]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[1,3]<stdout>:x", "[1,mpirank:3,algo-2]<stdout>:x"),
        ("[1,3]<stdout>:  indented", "[1,mpirank:3,algo-2]<stdout>:  indented"),
        ("[1,10]<stderr>:x [1,2]<stdout>", "[1,mpirank:10,algo-2]<stderr>:x [1,2]<stdout>"),
        ("[prterun-box-9@1,0]<stdout>:x", "[1,mpirank:0,algo-1]<stdout>:x"),
        ("mpirun says", "mpirun says"),
    ],
)
def test_tags_name_rank_and_host(line: str, expected: str) -> None:
    assert retag(line, CLUSTER.host_of) == expected


def test_the_space_of_open_mpi_5_is_no_part_of_the_line() -> None:
    assert retag("[1,0]<stdout>:   x", CLUSTER.host_of, " ") == "[1,mpirank:0,algo-1]<stdout>:  x"
