"""Calls like earlier ones are not waited for; where that cannot be, they are, or it is said."""

from __future__ import annotations

from tests.integration.engine.launch import mpirun


def test_a_call_like_one_before_is_not_waited_for() -> None:
    done = mpirun(2, "tests.integration.engine.foresight_worker", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for what in ("waits once", "values decide", "surprised"):
        assert done.stdout.count(f"{what} ") == 2
