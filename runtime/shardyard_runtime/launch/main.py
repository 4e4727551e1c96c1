"""`train`: what the platform starts in every container of the job."""

from __future__ import annotations

import logging
import queue
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NoReturn

from .cluster import Cluster, distribution_hosts, read_cluster
from .config import JobConfig, base_dir, read_config
from .entry import resolve_entry_point
from .errors import LaunchError
from .head import Head
from .host import Event, Host
from .logs import say
from .meeting import choose_meeting
from .outcome import Outcome
from .plain import run_plain
from .worker import Worker


def main() -> NoReturn:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    base = base_dir()
    run_dir = Path(tempfile.mkdtemp(prefix="shardyard-"))
    try:
        config = read_config(base)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: events.put(("signal", config.current_host, received)))
        outcome = launch(config, run_dir, events)
    except LaunchError as error:
        outcome = Outcome(error.exit_code, f"{error}\n")
    except Exception as error:
        traceback.print_exc()
        outcome = Outcome(
            1, f"The launcher itself failed: {type(error).__name__}: {error}\n{traceback.format_exc()}"
        )
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)
    if outcome.exit_code:
        say(f"the job failed with exit code {outcome.exit_code}: {outcome.text.splitlines()[0]}")
    outcome.write(base)
    sys.exit(outcome.exit_code)


def launch(config: JobConfig, run_dir: Path, events: queue.SimpleQueue[Event]) -> Outcome:
    if not config.mpi_enabled or config.current_host not in distribution_hosts(config):
        host = Host(config, Cluster((config.current_host,), 1), run_dir, events)
        return run_plain(host, resolve_entry_point(config))
    host = Host(config, read_cluster(config), run_dir, events)
    meeting = choose_meeting(host.cluster.head)
    part = Head(host, meeting) if host.name == host.cluster.head else Worker(host, meeting)
    try:
        entry = resolve_entry_point(config)
    except LaunchError as problem:
        part.refuse(problem)
        raise
    return part.run(entry)


if __name__ == "__main__":
    main()
