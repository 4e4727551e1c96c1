"""What surrounds the program: who reads the log, settings of the job, signals that come early, daemons that stay."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.parity.tree import Result, Tree, finish, ours, run, start


def program(script: str, environment: dict[str, str] | None = None, **values: str) -> Tree:
    return Tree(
        "job",
        {"code/train.py": script},
        {"sagemaker_program": '"train.py"', **values},
        environment=environment or {},
    )


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_full_disk_behind_the_log_does_not_stop_the_job(tmp_path: Path) -> None:
    """Nobody would read the program's pipe any more, so it would wait for ever."""
    job = program("print('x' * 5_000_000)\nopen('../model/done', 'w')")
    result = run(job, tmp_path, ["sh", "-c", f"exec {ours()[0]} > /dev/full 2> /dev/full"])
    assert (result.exit_code, result.succeeded) == (0, True)
    assert (tmp_path / "model" / "done").exists()


def test_a_reader_that_goes_away_does_not_stop_the_job(tmp_path: Path) -> None:
    job = program("print('x' * 5_000_000)")
    result = run(job, tmp_path, ["sh", "-c", f"{{ {ours()[0]}; echo $? > status; }} 2>&1 | head -c 10"])
    assert ((tmp_path / "status").read_text(), result.succeeded) == ("0\n", True)


def test_a_daemon_of_the_program_does_not_outlive_the_job(tmp_path: Path) -> None:
    script = """
import subprocess
found = subprocess.Popen(["setsid", "sleep", "300"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(found.pid)
"""
    result = run(program(script), tmp_path)
    assert result.exit_code == 0
    assert not is_running(int(result.out))


def test_a_signal_is_heard_before_the_preparations_too(tmp_path: Path) -> None:
    """It comes while devices are counted; packages that never arrive are to be installed next."""
    tool = tmp_path / "tools" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nkill -TERM $PPID\n")
    tool.chmod(0o755)
    os.mkfifo(tmp_path / "never")
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    job = program("pass", {"PATH": path}, sagemaker_mpi_enabled="true")
    job.files["code/requirements.txt"] = f"-r {tmp_path / 'never'}\n"
    result = run(job, tmp_path / "ml", timeout=20)
    assert result.exit_code == 143, result.log
    assert (result.failure or "").startswith("SIGTERM reached the launcher while it was preparing the code")


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        (
            {"SHARDYARD_HOST_TIMEOUT": "soon", "SHARDYARD_STOP_GRACE": "-1"},
            "SHARDYARD_HOST_TIMEOUT is 'soon' and SHARDYARD_STOP_GRACE is '-1'. It must be a number of seconds",
        ),
        ({"SHARDYARD_CONTROL_PORT": "http"}, "SHARDYARD_CONTROL_PORT is 'http'. It must be a port"),
        ({"SHARDYARD_CONTROL_PORT": "77190"}, "SHARDYARD_CONTROL_PORT is '77190'. It must be a port"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(
    tmp_path: Path, variables: dict[str, str], text: str
) -> None:
    result = run(program("pass", variables, sagemaker_mpi_enabled="true"), tmp_path)
    check_refusal(result, text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"hosts": "algo-1"}, "hosts is 'algo-1', and must be a list of names"),
        ({"instance_groups": [{"hosts": 3}]}, "instance_groups holds {'hosts': 3}, and must hold objects"),
    ],
)
def test_a_resource_file_that_cannot_be_used(tmp_path: Path, change: dict[str, object], text: str) -> None:
    job = program("pass")
    job.resource = {"current_host": "algo-1", "hosts": ["algo-1"], **change}
    result = run(job, tmp_path)
    where = tmp_path / "input" / "config" / "resourceconfig.json"
    check_refusal(result, f"{where} cannot be used: {text}")


def test_options_that_are_no_text(tmp_path: Path) -> None:
    values = {"sagemaker_mpi_enabled": "true", "sagemaker_mpi_custom_mpi_options": '["-x", "A=1"]'}
    result = run(program("pass", **values), tmp_path)
    check_refusal(result, "custom_mpi_options is ['-x', 'A=1']. It must be one text of options")


def check_refusal(result: Result, text: str) -> None:
    assert result.exit_code == 2, result.log
    assert (result.failure or "").startswith(text), result.failure
    assert "Traceback" not in result.log


BROKEN = """
class Broken(Exception):
    def __str__(self):
        raise ValueError("no words")
%s
raise Broken
"""


def test_an_exception_that_cannot_tell_its_message(tmp_path: Path) -> None:
    result = run(program(BROKEN % ""), tmp_path)
    assert result.exit_code == 1
    start = "rank 0 on algo-1: Broken: (its message cannot be read: ValueError)\n"
    assert (result.failure or "").startswith(start), result.failure


def test_and_under_mpi_it_does_not_leave_the_others_waiting(tmp_path: Path) -> None:
    meeting = "from mpi4py import MPI\nif MPI.COMM_WORLD.rank == 0:\n    MPI.COMM_WORLD.Barrier()"
    values = {"sagemaker_mpi_enabled": "true", "sagemaker_mpi_num_of_processes_per_host": "2"}
    result = run(program(BROKEN % meeting, **values), tmp_path, timeout=30)
    assert result.exit_code == 1, result.log
    start = "rank 1 on algo-1: Broken: (its message cannot be read: ValueError)\n"
    assert (result.failure or "").startswith(start), result.failure


def test_hyperparameters_larger_than_a_program_may_be_given(tmp_path: Path) -> None:
    script = "import os, sys\nprint(len(sys.argv[2]), len(os.environ['SM_HP_BIG']))"
    result = run(program(script, sagemaker_mpi_enabled="true", big="x" * 300_000), tmp_path)
    assert result.exit_code == 0, result.log[-2000:]
    assert b"300000 300000" in result.out


def test_secrets_in_options_lists_and_addresses(tmp_path: Path) -> None:
    """None of them is in a command line, in what the launcher says, or in the failure text."""
    script = """
import glob, os, sys
seen, word = [], "mark" + "er-"
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        seen.append(open(path, "rb").read())
    except OSError:
        pass
print("VISIBLE", sorted(n for n in range(6) if any(b"mark" + b"er-%d" % n in line for line in seen)))
print("GIVEN", os.environ["HF_TOKEN"] == word + "0 of two words", os.environ["EPOCHS"])
raise RuntimeError(" ".join(f"{word}{n}" + (" of two words" if n == 0 else "") for n in range(6)))
"""
    options = (
        "-x 'HF_TOKEN=marker-0 of two words' -x EPOCHS=3 -mca pml ob1 -x 'HF_TOKEN=marker-0 of two words'"
    )
    values = {
        "sagemaker_mpi_enabled": "true",
        "sagemaker_mpi_custom_mpi_options": json.dumps(options),
        "logins": json.dumps([{"user": "me", "password": "marker-1"}]),
        "mp_parameters": json.dumps({"partitions": 1, "api_key": "marker-2"}),
        "secret_words": json.dumps(["marker-3"]),
    }
    environment = {"DB_PASSWORD": "marker-4", "PROXY": "http://me:marker-5@localhost/"}
    result = run(program(script, environment, **values), tmp_path)
    assert result.exit_code == 1, result.log
    said = [line for line in result.log.splitlines() if "mpirank" not in line]
    assert b"VISIBLE []" in result.out
    assert b"GIVEN True 3" in result.out
    assert not [line for line in said if "marker-" in line]
    assert "marker-" not in (result.failure or "marker-")


def test_a_second_signal_while_the_job_ends_is_no_traceback(tmp_path: Path) -> None:
    job = program("import time\nprint('ready', flush=True)\ntime.sleep(60)")
    job.write(tmp_path)
    process = start(ours(), tmp_path, job.environment)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    for _ in range(20):
        process.send_signal(signal.SIGTERM)
    result = finish(process, tmp_path)
    assert result.exit_code == 143
    assert "Traceback" not in result.log
