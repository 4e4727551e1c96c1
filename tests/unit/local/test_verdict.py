from __future__ import annotations

from pathlib import Path

import pytest

from shardyard.local import outputs, verdict
from shardyard.local.spec import JobResult, TimeLimit

HOSTS = ("algo-1", "algo-2", "algo-10")
RANK = (
    'rank 3 on algo-2: ValueError: no\n  File "train.py", line 3\n\nTraceback (most recent call last):\n...'
)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        (RANK, "algo-2"),
        ("rank 12 on algo-10: ended with exit code 9\n", "algo-10"),
        ("host algo-2 left the job: its control connection closed", "algo-2"),
        ("SIGTERM reached the launcher on algo-2, so the job was stopped.", "algo-2"),
        ("algo-2: Entry point 'train.py' is missing", "algo-2"),
        ("ValueError: what a script wrote itself", None),
        ("rank 3 on algo-7: not a host of this job", None),
        ("", None),
    ],
)
def test_the_host_that_a_failure_names(text: str, host: str | None) -> None:
    assert verdict.host_of(text, HOSTS) == host


def result(**given: object) -> JobResult:
    return JobResult(exit_codes={"algo-1": 1, "algo-2": 7}, first_failed="algo-1", **given)  # type: ignore[arg-type]


def test_the_named_host_failed_whichever_ended_first(tmp_path: Path) -> None:
    given = result(failures={"algo-1": RANK, "algo-2": RANK}, blamed="algo-2")
    assert (given.failed_host, given.job_exit_code) == ("algo-2", 7)
    text = outputs.summary(given)
    assert text.startswith("algo-2 ended with exit code 7\nfailed: rank 3 on algo-2: ValueError: no")
    assert "Traceback" not in text


def test_without_a_name_the_first_that_ended_failed() -> None:
    assert (result().failed_host, result().job_exit_code) == ("algo-1", 1)


def test_no_host_failed_when_time_ran_out() -> None:
    given = result(
        past=TimeLimit(1, "timeout", 1), blamed="algo-2", failures={"algo-1": "same", "algo-2": "same"}
    )
    assert (given.failed_host, given.job_exit_code) == (None, 124)
    assert outputs.summary(given).count("same") == 1
