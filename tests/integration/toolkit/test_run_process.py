"""`shardyard run --engine process`: hosts as plain processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.integration.toolkit.conftest import Cli, command, make_project

RUN = ("run", "--engine", "process", "--input", "train=input")


def left_behind(folder: Path) -> list[str]:
    """Processes whose environment names this project's job; TMPDIR tells them from those of another test."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"TMPDIR={folder}".encode() in environment and b"SHARDYARD_LOCAL_JOB=" in environment:
            found.append(entry.name)
    return found


def test_two_hosts_with_two_ranks(tmp_path: Path, cli: Cli) -> None:
    done = cli(make_project(tmp_path), *RUN, "--output", "result")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "job_exit_code=0"
    for rank, host in enumerate(("algo-1", "algo-1", "algo-2", "algo-2")):
        assert f"rank {rank} of 4 on {host} note it's $HOME" in done.stdout
        assert (tmp_path / f"result/{host}/model/model-{rank}").read_text() == host
        assert (tmp_path / f"result/{host}/output/data/data-{rank}").read_text() == host
    assert "input forty-two" in (tmp_path / "result/algo-1/log.txt").read_text()


def test_a_failure_is_told_and_its_outputs_are_kept(tmp_path: Path, cli: Cli) -> None:
    done = cli(make_project(tmp_path, "fail"), *RUN, "--output", "result", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["job_exit_code"], report["failed_host"]) == (7, "algo-2")
    assert "rank 3" in report["failures"]["algo-1"]
    assert "failed: " in done.stderr
    assert (tmp_path / "result/algo-2/model/model-3").is_file()


def test_an_old_failure_is_not_this_jobs(tmp_path: Path, cli: Cli) -> None:
    assert cli(make_project(tmp_path, "fail"), *RUN).returncode == 1
    done = cli(make_project(tmp_path, "work"), *RUN, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["failures"] == {}


def test_the_time_limit_ends_everything(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    line = command(*RUN, "--timeout", "4")
    folder = make_project(tmp_path, "hang")
    done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "job_exit_code=124" in done.stdout
    assert "time limit" in done.stderr
    assert left_behind(tmp_path) == []


def test_an_interrupt_ends_everything_and_keeps_outputs(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "SHARDYARD_CACHE": str(tmp_path / "cache")}
    folder = make_project(tmp_path, "hang")
    log = (folder / "stdout").open("w+")
    process = subprocess.Popen(command(*RUN), cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 40
    while (folder / "stdout").read_text().count("input forty-two") < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_behind(tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(40) == 130, (folder / "stdout").read_text()
    assert left_behind(tmp_path) == []
    assert (folder / ".shardyard/run/algo-1/model/model-0").is_file()
    assert list((tmp_path / "cache/local").iterdir()) == []


def test_checkpoints_are_kept_and_a_killed_commands_job_is_ended(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "SHARDYARD_CACHE": str(tmp_path / "cache")}
    folder = make_project(tmp_path, "hang")
    run = command(*RUN, "--checkpoints", "kept")
    (folder / "kept").mkdir()
    (folder / "kept/old").write_text("x")
    with (folder / "stdout").open("w+") as log:
        process = subprocess.Popen(run, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 40
        while (folder / "stdout").read_text().count("input forty-two") < 4 and time.monotonic() < deadline:
            time.sleep(0.1)
        process.kill()
        process.wait()
    (place,) = (tmp_path / "cache/local").glob("*/algo-1/opt/ml/checkpoints")
    assert (place / "old").read_text() == "x"

    make_project(tmp_path, "work")
    done = subprocess.run(run, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert left_behind(tmp_path) == []
    assert list((tmp_path / "cache/local").iterdir()) == []
    assert [one.name for one in (folder / "kept").iterdir()] == ["old"]


def test_the_engines_own_flags_are_refused(tmp_path: Path, cli: Cli) -> None:
    done = cli(make_project(tmp_path), *RUN, "--pull", "never")
    assert done.returncode == 2
    assert "'--pull never': plain processes need no image" in done.stderr


def test_groups_of_different_instances(tmp_path: Path, cli: Cli) -> None:
    """The group that is named trains on its hosts; the others run the script as one process each."""
    folder = make_project(tmp_path)
    text = (folder / "shardyard.toml").read_text()
    text = text.replace("[distribution.mpi]", '[distribution]\ninstance_groups = ["cpu"]\n[distribution.mpi]')
    text = text.replace("instance_count = 2\n", "").replace("[run]", "[run]\n")
    text += """
[[job.instance_groups]]
name = "other"
instance_type = "ml.c5.xlarge"
[[job.instance_groups]]
name = "cpu"
instance_type = "ml.m5.xlarge"
instance_count = 2
"""
    (folder / "shardyard.toml").write_text(text)
    done = cli(folder, *RUN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "algo-1 | rank 0 of 1 on algo-1" in done.stdout
    for rank, host in enumerate(("algo-2", "algo-2", "algo-3", "algo-3")):
        assert f"rank {rank} of 4 on {host}" in done.stdout
    refused = cli(folder, *RUN, "--hosts", "1")
    assert refused.returncode == 2
    assert "instance_groups have 3" in refused.stderr
