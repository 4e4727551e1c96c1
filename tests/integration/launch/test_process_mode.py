from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable

import pytest
from job import Job

NewJob = Callable[..., Job]

REPORT = """
    import json, os, sys
    from mpi4py import MPI
    rank = MPI.COMM_WORLD.allgather(MPI.COMM_WORLD.rank)
    facts = {
        "rank": MPI.COMM_WORLD.rank, "size": MPI.COMM_WORLD.size, "host": os.environ["SM_CURRENT_HOST"],
        "local": os.environ["SHARDYARD_LOCAL_RANK"], "ompi": os.environ["OMPI_COMM_WORLD_LOCAL_RANK"],
        "model": os.environ["SM_MODEL_DIR"], "args": sys.argv[1:], "name": __name__, "cwd": os.getcwd(),
        "omp": os.environ["OMP_NUM_THREADS"],
    }
    print("FACTS", json.dumps(facts))
"""


def test_every_rank_sees_its_own_host(new_job: NewJob) -> None:
    job = new_job(REPORT, hyperparameters={"greeting": "hello $HOME 'x' : y", "epochs": "3"})
    result = job.run()
    assert result.exit_codes == [0, 0], result.logs
    assert result.failures == ["", ""]
    lines = [line for line in result.logs[0].splitlines() if "FACTS" in line]
    facts = {item["rank"]: item for item in (json.loads(line.split("FACTS ")[1]) for line in lines)}
    assert sorted(facts) == [0, 1, 2, 3]
    for rank, item in facts.items():
        host = f"algo-{rank // 2 + 1}"
        base = result.root / host / "opt" / "ml"
        assert item["host"] == host
        assert item["local"] == item["ompi"] == str(rank % 2)
        assert item["size"] == 4
        assert item["name"] == "__main__"
        assert item["model"] == str(base / "model")
        assert item["cwd"] == str((base / "code").resolve())
        assert item["args"] == ["--epochs", "3", "--greeting", "hello $HOME 'x' : y"]
    assert any(line.startswith("[1,mpirank:3,algo-2]<stdout>:FACTS") for line in lines)
    assert (result.root / "algo-2" / "opt" / "ml" / "output" / "success").exists()
    assert job.survivors() == []


def test_an_exception_ends_every_host_with_its_text(new_job: NewJob) -> None:
    script = """
        from mpi4py import MPI

        def load(path):
            raise ValueError(f"no shard at {path!r}")

        if MPI.COMM_WORLD.rank == 3:
            load("s3://x")
        MPI.COMM_WORLD.Barrier()
    """
    job = new_job(script)
    result = job.run()
    assert result.exit_codes == [1, 1], result.logs
    for text in result.failures:
        assert text.startswith("rank 3 on algo-2: ValueError: no shard at 's3://x'\n"), text
        assert "in load" in text[:1024]
        assert 'raise ValueError(f"no shard' in text[:1024]
    assert "Traceback" in result.logs[0]
    assert result.seconds < 15
    assert job.survivors() == []


def test_the_code_of_sys_exit_is_the_jobs(new_job: NewJob) -> None:
    script = """
        import sys
        from mpi4py import MPI
        if MPI.COMM_WORLD.rank == 1:
            sys.exit(7)
        MPI.COMM_WORLD.Barrier()
    """
    result = new_job(script).run()
    assert result.exit_codes == [7, 7], result.logs
    assert result.failures[1].startswith("rank 1 on algo-1: SystemExit")


def test_a_follow_up_is_not_the_cause(new_job: NewJob) -> None:
    script = """
        import time
        from mpi4py import MPI
        class Peer(RuntimeError):
            shardyard_follow_up = True
        if MPI.COMM_WORLD.rank == 0:
            raise Peer("rank 2 is gone")
        if MPI.COMM_WORLD.rank == 2:
            raise KeyError("weights")
        MPI.COMM_WORLD.Barrier()
    """
    result = new_job(script).run()
    assert result.exit_codes == [1, 1], result.logs
    assert "KeyError" in result.failures[0] or "Peer" in result.failures[0]
    assert result.failures[0] == result.failures[1]


def test_a_code_given_to_mpi_abort_is_the_jobs(new_job: NewJob) -> None:
    script = """
        from mpi4py import MPI
        MPI.COMM_WORLD.Barrier()
        if MPI.COMM_WORLD.rank == 2:
            MPI.COMM_WORLD.Abort(5)
        MPI.COMM_WORLD.Barrier()
    """
    result = new_job(script).run()
    assert result.exit_codes == [5, 5], result.logs
    assert result.failures[0].startswith("rank 2 on algo-2: "), result.failures


def test_the_rank_that_crashed_is_named_not_the_one_that_missed_it(new_job: NewJob) -> None:
    """Open MPI 5 reports the peer that finds its connection closed."""
    script = """
        import os, signal
        from mpi4py import MPI
        MPI.COMM_WORLD.Barrier()
        if MPI.COMM_WORLD.rank == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        MPI.COMM_WORLD.Barrier()
    """
    result = new_job(script).run()
    assert result.exit_codes == [139, 139], result.logs
    assert result.failures[0].startswith("rank 3 on algo-2: ended by signal 11 (SIGSEGV)"), result.failures


def test_a_killed_rank_is_named(new_job: NewJob) -> None:
    script = """
        import os, signal
        from mpi4py import MPI
        MPI.COMM_WORLD.Barrier()
        if MPI.COMM_WORLD.rank == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        MPI.COMM_WORLD.Barrier()
    """
    result = new_job(script).run()
    assert result.exit_codes == [137, 137], result.logs
    assert result.failures[0].startswith("rank 2 on algo-2: ended by signal 9 (SIGKILL)"), result.failures


WAITING = """
    import time
    from mpi4py import MPI
    MPI.COMM_WORLD.Barrier()
    if MPI.COMM_WORLD.rank == 0:
        open(%r, "w").close()
    time.sleep(60)
"""


def start_and_wait(new_job: NewJob) -> Job:
    job = new_job("")
    flag = job.root / "started"
    job.script = WAITING % str(flag)
    job.start()
    deadline = time.monotonic() + 30
    while not flag.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job


def test_sigterm_stops_the_job_and_is_recorded(new_job: NewJob) -> None:
    job = start_and_wait(new_job)
    job.processes[0].send_signal(signal.SIGTERM)
    result = job.finish()
    assert result.exit_codes == [143, 143], result.logs
    assert all(text.startswith("SIGTERM reached the launcher on algo-1") for text in result.failures)
    assert result.seconds < 10
    assert job.survivors() == []


@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_host_ends_the_others(new_job: NewJob, victim: int) -> None:
    job = start_and_wait(new_job)
    job.processes[victim].kill()
    result = job.finish()
    assert result.seconds < 5, result.logs
    assert result.exit_codes[victim] == -9
    assert result.exit_codes[1 - victim] == 1
    assert f"host algo-{victim + 1} left the job" in result.failures[1 - victim]
    deadline = time.monotonic() + 3
    while job.survivors() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert job.survivors() == []


def test_a_missing_entry_point_ends_both_at_once(new_job: NewJob) -> None:
    result = new_job("pass", hyperparameters={"sagemaker_program": '"tarin.py"'}).run()
    assert result.exit_codes == [2, 2], result.logs
    assert "Entry point 'tarin.py' is not in" in result.failures[1]
    assert result.seconds < 6


def test_without_mpi_each_host_runs_alone(new_job: NewJob) -> None:
    script = """
        import os
        print("alone on", os.environ["SM_CURRENT_HOST"])
        raise SystemExit(5 if os.environ["SM_CURRENT_HOST"] == "algo-2" else 0)
    """
    result = new_job(script, hyperparameters={"sagemaker_mpi_enabled": "false"}).run()
    assert result.exit_codes == [0, 5], result.logs
    assert "alone on algo-1" in result.logs[0]


def test_a_host_that_never_comes_is_named(new_job: NewJob) -> None:
    job = new_job("pass", environment={"SHARDYARD_HOST_TIMEOUT": "2"})
    job.start()
    job.processes[1].kill()
    result = job.finish()
    assert result.exit_codes == [1, -9], result.logs
    assert "'algo-2' did not report to 'algo-1' within 2 s" in result.failures[0]


def test_options_of_the_user_reach_mpirun(new_job: NewJob) -> None:
    script = """
        import os
        print("GREETING is", os.environ["GREETING"], os.environ["NCCL_DEBUG"])
    """
    options = "\"-x 'GREETING=hello world' --mca pml ob1 --NCCL_DEBUG=WARN\""
    result = new_job(script, hyperparameters={"sagemaker_mpi_custom_mpi_options": options}).run()
    assert result.exit_codes == [0, 0], result.logs
    assert result.logs[0].count("GREETING is hello world WARN") == 4
    assert "warning: custom_mpi_options says again what holds anyway: `--mca pml ob1`" in result.logs[0]
    refused = '"--hostfile mine"'
    job = Job(result.root / "again", script, hyperparameters={"sagemaker_mpi_custom_mpi_options": refused})
    result = job.run()
    assert result.exit_codes == [2, 2], result.logs
    assert "'--hostfile'" in result.failures[0]
    assert "'--hostfile'" in result.failures[1]
