"""up, down, status and exec; and what a killed supervisor leaves on the machine: nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.testbed


def processes_of(cache: Path) -> list[str]:
    """The command lines of living processes that name the testbed's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(cache / "testbed") in line:
                found.append(line)
    return found


def gone(cache: Path) -> bool:
    """Whether every process of the testbed ends within ten seconds."""
    give_up = time.monotonic() + 10
    while processes_of(cache) and time.monotonic() < give_up:
        time.sleep(0.05)
    return processes_of(cache) == []


def machine() -> tuple[str, str, str]:
    """What the testbed must leave alone: the hosts file, the network interfaces, the mounts."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    names = " ".join(line.split(": ")[1] for line in links.splitlines())
    return Path("/etc/hosts").read_text(), names, Path("/proc/mounts").read_text()


def test_up_is_idempotent_and_down_ends_everything(cli, cache):
    before = machine()
    cli("up", "--bare")
    first = json.loads(cli("status").stdout)
    cli("up", "--bare")
    second = json.loads(cli("status").stdout)
    assert first["up"]
    assert first == second
    assert machine() == before
    assert processes_of(cache)
    cli("down")
    assert processes_of(cache) == []
    assert cli("status", check=False).returncode == 3
    assert machine() == before
    cli("down")


def test_exec_brings_it_up_and_down_again_and_passes_the_exit_code_on(cli, cache):
    cli("down")
    done = cli("exec", "--bare", "--", "sh", "-c", "pwd; exit 7", check=False)
    assert done.returncode == 7
    assert done.stdout.strip() == str(Path(__file__).resolve().parents[3])
    assert processes_of(cache) == []


def test_exec_leaves_a_testbed_up_that_was_up(up, cache):
    up("exec", "--bare", "--", "true")
    assert json.loads(up("status").stdout)["up"]


def test_a_killed_supervisor_takes_everything_with_it(cli, cache):
    before = machine()
    cli("up", "--bare")
    pid = json.loads(cli("status").stdout)["supervisor"]
    os.kill(pid, signal.SIGKILL)
    assert gone(cache)
    assert machine() == before
    assert cli("status", check=False).returncode == 3
    for _ in range(2):  # and the next ones start where it left off
        cli("up", "--bare")
        os.kill(json.loads(cli("status").stdout)["supervisor"], signal.SIGKILL)
        assert gone(cache)
    cli("up", "--bare")
    cli("exec", "--bare", "--", "docker-registry", "--version")


def test_a_killed_exec_does_not_leave_its_testbed_up(cli, cache, background):
    cli("down")
    process = background("exec", "--bare", "--", "sh", "-c", "echo inside; sleep 100")
    assert process.stdout.readline() == "inside\n"
    process.kill()
    process.wait()
    assert gone(cache)
    assert cli("status", check=False).returncode == 3


def test_the_last_of_two_commands_takes_the_testbed_down(cli, cache, background):
    cli("down")
    first = background("exec", "--bare", "--", "sh", "-c", "echo inside; read line")
    assert first.stdout.readline() == "inside\n"
    second = background(
        "exec", "--bare", "--", "sh", "-c", "echo inside; read line; test -S ${DOCKER_HOST#unix://}"
    )
    assert second.stdout.readline() == "inside\n"
    first.communicate("\n")
    assert json.loads(cli("status").stdout)["up"]
    second.communicate("\n")
    assert (first.returncode, second.returncode) == (0, 0)
    assert gone(cache)
