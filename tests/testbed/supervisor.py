"""The first process inside: furnishes the namespaces, starts the services and waits. All goes with it."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType

from tests.testbed import engine, lifecycle, namespace, registries
from tests.testbed.services import Service, all_services
from tests.testbed.settings import Settings, load

READY_WITHIN = 60.0
STOP_WITHIN = 8.0
LOOK_EVERY = 0.5


class Stopped(Exception):
    pass


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise Stopped


def main() -> int:
    if os.getpid() != 1:
        print("the supervisor is started by `python -m tests.testbed up`", file=sys.stderr)
        return 2
    settings = load()
    running: list[Service] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        namespace.furnish(settings)
        registries.forget_images(settings)
        for service in all_services(settings):
            service.start(settings)
            running.append(service)
        _wait_ready(running)
        engine.tidy(settings)
        settings.ready.write_text("ready\n")
        _supervise(settings, running)
    except Stopped:
        pass
    except RuntimeError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        settings.ready.unlink(missing_ok=True)
        _shut_down(running)
    return 0


def _wait_ready(running: list[Service]) -> None:
    waiting, give_up = list(running), time.monotonic() + READY_WITHIN
    while waiting:
        waiting = [service for service in waiting if not service.check()]
        if waiting and time.monotonic() > give_up:
            names = ", ".join(service.name for service in waiting)
            raise RuntimeError(f"not ready after {READY_WITHIN:.0f} s: {names}")
        if waiting:
            time.sleep(0.05)


def _supervise(settings: Settings, running: list[Service]) -> None:
    """Reaps what is left to the first process; ends all when a service ends or no user is left."""
    ours = {service.process.pid: service for service in running if service.process}
    while not lifecycle.abandoned(settings):
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in ours:
            raise RuntimeError(f"{ours[pid].name} ended: {os.waitstatus_to_exitcode(status)}")
        if not pid:
            time.sleep(LOOK_EVERY)


def _shut_down(running: list[Service]) -> None:
    for service in reversed(running):
        if service.process and service.process.poll() is None:
            service.process.terminate()
    give_up = time.monotonic() + STOP_WITHIN
    while time.monotonic() < give_up:
        if all(service.process is None or service.process.poll() is not None for service in running):
            return
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
