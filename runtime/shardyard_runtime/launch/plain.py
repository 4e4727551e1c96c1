"""No MPI: the user's program as one process on this host."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from . import processes, rank_plan, records
from .entry import EntryPoint
from .host import Host
from .outcome import Outcome, exit_status
from .verdict import stopped


def run_plain(host: Host, entry: EntryPoint) -> Outcome:
    plan = host.write_plan(entry, local=False)
    variables = {**plan.environment, rank_plan.RUN_DIR: str(host.run_dir)}
    variables.pop(rank_plan.RUN_DIRS, None)
    command = [sys.executable, "-m", "shardyard_runtime.launch.rank", entry.program]
    process = processes.start(command, env=variables, cwd=host.run_dir)
    threading.Thread(target=_wait, args=(host, process), daemon=True).start()
    received = 0
    while True:
        kind, _, payload = host.events.get()
        if kind == "ended":
            break
        received = payload
        process.send_signal(payload)
    processes.end(process, grace=0)
    found = records.load_all(host.run_dir)
    if received:
        return stopped(received, host.name, found)
    if found:
        return Outcome(found[0].exit_code, found[0].text())
    code = exit_status(payload)
    name = os.path.basename(entry.program)
    return Outcome(code, f"{name} on {host.name} ended with exit code {code}\n" if code else "")


def _wait(host: Host, process: subprocess.Popen[bytes]) -> None:
    host.events.put(("ended", host.name, process.wait()))
