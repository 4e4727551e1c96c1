"""Errors cross ranks with their type and both tracebacks, and a caught one leaves the engine usable."""

from __future__ import annotations

from tests.integration.engine.launch import mpirun


def test_errors_arrive_and_the_next_step_works() -> None:
    done = mpirun(2, "tests.integration.engine.errors_worker", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for where in ("forward", "backward", "unpicklable", "in place", "function"):
        assert done.stdout.count(f"caught {where} ") == 2
    assert done.stdout.count("outside ") == 2
