"""No MPI: the user's program on this host, as one process or as torchrun's."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from . import rank_plan, records, supervise
from .entry import EntryPoint, Kind
from .failure import from_last_words
from .host import Host
from .memory import MemoryWatch
from .outcome import Outcome
from .timeouts import stop_grace
from .verdict import stopped

SCRIPT = "shardyard_runtime.launch.script"


def run_plain(host: Host, entry: EntryPoint) -> Outcome:
    plan = host.write_plan(entry, local=True)
    if plan.command:
        return follow(host, plan.command, plan.environment, plan.code_dir, entry)
    command = [sys.executable, "-m", SCRIPT, entry.function or entry.program]
    variables = script_environment(host, dict(os.environ))
    return follow(host, command, variables, str(host.run_dir), entry)


def script_environment(host: Host, environment: dict[str, str]) -> dict[str, str]:
    """What our own wrapper needs before it takes over the environment of the plan."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *environment.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **environment,
        rank_plan.RUN_DIR: str(host.run_dir),
        "PYTHONPATH": os.pathsep.join(path for path in dict.fromkeys(paths) if path),
    }


def follow(host: Host, command: list[str], variables: dict[str, str], cwd: str, entry: EntryPoint) -> Outcome:
    memory = MemoryWatch()
    base = host.config.base
    is_command = entry.kind is Kind.COMMAND
    end = supervise.run(
        host,
        command,
        variables,
        cwd,
        whole_group=is_command,
        on_stop=lambda number: stopping(number, host).write(base),
    )
    found = records.load_all(host.run_dir)
    if end.stop_signal:
        stopping(end.stop_signal, host).withdraw(base)
        return stopped(end.stop_signal, host.name, found, end.detail)
    cause = records.root_cause(found)
    if cause is not None:
        return Outcome(cause.exit_code, cause.text())
    if end.exit_code == 0:
        return Outcome(0)
    name = entry.function or os.path.basename(entry.program)
    why = _killed(memory.note(host.name)) if end.exit_code == 128 + signal.SIGKILL else ""
    record = from_last_words(end.last_words, end.exit_code, host.name, name, why)
    return Outcome(end.exit_code, record.text())


def _killed(counted: str) -> str:
    """A shell passes its child's end on, so this is said of commands too."""
    guess = (
        "killed by SIGKILL, as the kernel does when memory runs out. Give it more memory or a smaller batch"
    )
    return f"{counted or guess}."


def stopping(number: int, host: Host) -> Outcome:
    """Stands in the failure file while the program has its grace: the platform may not let us write later."""
    seconds = stop_grace()
    detail = f"The program has {seconds:g} s to end; nothing was heard of it since."
    return stopped(number, host.name, (), detail)
