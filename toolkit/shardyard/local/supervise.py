"""Waits for all hosts of a job: logs, exit codes, the time limit, the end of those that outlive a failure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from shardyard.local.logs import Pump, Sink
from shardyard.local.spec import JobResult, TimeLimit

POLL_S = 0.1
FAILURE_GRACE_S = 60.0
STOP_GRACE_S = 10.0
QUIET_S = 10.0
KILLED = 137


class Host(Protocol):
    """One running host."""

    @property
    def name(self) -> str: ...

    def chunks(self) -> Iterable[bytes]: ...

    def poll(self) -> int | None: ...

    def stop(self, grace_s: float) -> None: ...


def supervise(
    hosts: Sequence[Host], sink: Sink, limit: TimeLimit | None, failure_grace: float = FAILURE_GRACE_S
) -> JobResult:
    """Runs until every host has ended. After the first failure the others get `failure_grace` seconds to
    see it and end by themselves, so that no job waits for a dead host for ever."""
    started = time.monotonic()
    pumps = [Pump(host.name, host.chunks(), sink) for host in hosts]
    for pump in pumps:
        pump.start()
    result = JobResult(exit_codes={})
    deadline = started + limit.seconds if limit else None
    while len(result.exit_codes) < len(hosts):
        for host in hosts:
            if host.name in result.exit_codes or (code := host.poll()) is None:
                continue
            result.exit_codes[host.name] = code
            if code and result.first_failed is None:
                result.first_failed = host.name
                grace = time.monotonic() + failure_grace
                deadline = min(deadline, grace) if deadline else grace
        if deadline and time.monotonic() > deadline and len(result.exit_codes) < len(hosts):
            if result.first_failed is None:
                result.past = limit
            _stop_the_rest(hosts, result, sink)
            break
        time.sleep(POLL_S)
    for pump in pumps:
        pump.drain(QUIET_S)
        if pump.error is not None or pump.is_alive():
            sink(pump.host, f"shardyard: the log broke off: {pump.error or 'still open'}")
    result.exit_codes = {host.name: result.exit_codes[host.name] for host in hosts}
    result.seconds = time.monotonic() - started
    return result


def _stop_the_rest(hosts: Sequence[Host], result: JobResult, sink: Sink) -> None:
    limit = result.past
    why = (
        f"the {limit.setting} of {limit.seconds:g} s is over"
        if limit
        else f"{result.first_failed} has failed"
    )
    rest = [host for host in hosts if host.name not in result.exit_codes]
    for host in rest:
        sink(host.name, f"shardyard: stopping this host: {why}")
    stop_all(rest, limit.grace_s if limit else STOP_GRACE_S)
    for host in rest:
        code = host.poll()
        result.exit_codes[host.name] = KILLED if code is None else code


def stop_all(hosts: Sequence[Host], grace_s: float) -> None:
    """All at once, so that every host has the whole grace and no other host's in addition."""
    if hosts:
        with ThreadPoolExecutor(len(hosts)) as pool:
            list(pool.map(lambda host: host.stop(grace_s), hosts))
