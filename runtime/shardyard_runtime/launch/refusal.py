"""A host whose own configuration cannot be read says so to the others, as far as it knows them."""

from __future__ import annotations

import contextlib
import json
import queue
from pathlib import Path

from .cluster import Cluster
from .config import JobConfig
from .errors import LaunchError
from .groups import distribution_hosts


def tell_the_others(base: Path, run_dir: Path, problem: LaunchError) -> None:
    """They would wait for this host until their time limit passes."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, LaunchError):
        resource = json.loads((base / "input" / "config" / "resourceconfig.json").read_text("utf-8"))
        resource = {"current_group_name": "", "instance_groups": [], **resource}
        config = JobConfig(base, {}, resource)
        hosts = distribution_hosts(config)
        if len(hosts) < 2 or config.current_host not in hosts:
            return
        from .head import Head  # a job that can be read does not need these here
        from .host import Host
        from .meeting import choose_meeting
        from .worker import Worker

        host = Host(config, Cluster(tuple(hosts), 0), run_dir, queue.SimpleQueue())
        part = Head if host.name == hosts[0] else Worker
        part(host, choose_meeting(hosts[0])).refuse(problem)
