"""Binary, very long and very much output: nothing is lost, and every line says whose it is."""

from __future__ import annotations

import re

import pytest

from tests.integration.faults.conftest import NewContainerJob

pytestmark = pytest.mark.testbed

BINARY = """
    import hashlib, random
    random.seed(rank)
    for length in (0, 1, 4095, 4096, 70_000, 3_000_000):
        line = bytes(random.choices(range(11, 256), k=min(length, 70_000))) * (length // 70_000 or 1)
        os.write(1, line + b"\\n")
        print("SUM", rank, len(line), hashlib.md5(line).hexdigest(), file=sys.stderr)
    os.write(1, b"\\n" * 5000 + b"LAST WORDS")
"""
MANY = """
    world.Barrier()
    text = "x" * 999
    for number in range(LINES):
        print(text)
    print(f"DONE {rank};", flush=True)
"""


def test_binary_and_very_long_lines(new_container_job: NewContainerJob) -> None:
    import hashlib

    # Into files: the engine's own logs take only UTF-8, and cut long lines.
    job = new_container_job(BINARY, command=("sh", "-c", "train > /tmp/out 2> /tmp/err"))
    job.start()
    report = job.finish()
    assert set(report.codes.values()) == {0}, report.logs["algo-2"]
    raw, errors = job.read_bytes("algo-1", "/tmp/out"), job.read("algo-1", "/tmp/err")
    for rank in range(4):
        host = f"algo-{rank // 2 + 1}"
        tag = f"[1,mpirank:{rank},{host}]<stdout>:".encode()
        lines = [line.removeprefix(tag) for line in raw.split(b"\n") if line.startswith(tag)]
        sums = re.findall(rf"\[1,mpirank:{rank},{host}\]<stderr>:SUM {rank} (\d+) (\w+)", errors)
        assert len(sums) == 6
        shown = {(str(len(line)), hashlib.md5(line).hexdigest()) for line in lines}
        assert set(sums) <= shown
        assert lines[-5001:] == [b""] * 5000 + [b"LAST WORDS"]


def test_much_output(new_container_job: NewContainerJob) -> None:
    send_much(new_container_job, megabytes=64)


def send_much(new_container_job: NewContainerJob, megabytes: int) -> None:
    """`make soak-launch` sends 1 GB."""
    lines = megabytes * 1000 // 4
    job = new_container_job(MANY.replace("LINES", str(lines)), keep_log=False)
    job.start()
    report = job.finish(timeout=900)
    assert set(report.codes.values()) == {0}, report.logs["algo-2"]
    assert all(counts[b"LEFT BEHIND: []"] == 1 for counts in job.line_counts.values())
    counted = job.line_counts["algo-1"]
    for rank in range(4):
        assert counted[f"[1,mpirank:{rank},algo-{rank // 2 + 1}]<stdout>:".encode() + b"x" * 999] == lines
