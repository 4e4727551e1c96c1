"""`train`: what the platform starts in every container of the job."""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import intermediate, reserve, run_folder
from .cluster import Cluster, read_cluster
from .config import JobConfig, base_dir, read_config
from .entry import EntryPoint, resolve_entry_point, resolve_function
from .environment import training_environment
from .errors import LaunchError, StopRequested
from .host import Event, Host
from .invocation import announce
from .logs import log_level, say
from .masking import Masker
from .modes import Mode, choose_mode, training_function
from .names import wait_for_names
from .outcome import Outcome
from .plain import run_plain
from .refusal import tell_the_others
from .requirements import install_requirements
from .torchrun import check, choose_part, run_torchrun

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main() -> NoReturn:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    base = base_dir()
    run_dir = run_folder.make()
    reserve.take(base)
    masker = Masker(os.environ)
    sync = None
    try:
        try:
            config = read_config(base)
        except LaunchError as problem:
            tell_the_others(base, run_dir, problem)
            raise
        masker = Masker(os.environ, config.hyperparameters)
        logging.getLogger().setLevel(log_level(config, os.environ))
        for number in SIGNALS:
            signal.signal(number, lambda received, _: events.put(("signal", config.current_host, received)))
        sync = intermediate.start(config)
        outcome = launch(config, run_dir, events)
    except LaunchError as error:
        outcome = Outcome(error.exit_code, f"{error}\n")
    except Exception as error:
        traceback.print_exc()
        outcome = Outcome(
            1, f"The launcher itself failed: {type(error).__name__}: {error}\n{traceback.format_exc()}"
        )
    finally:
        run_folder.remove(run_dir)
    outcome = Outcome(outcome.exit_code, masker.mask(outcome.text))
    if outcome.exit_code:
        say(f"the job failed with exit code {outcome.exit_code}: {outcome.text.splitlines()[0]}")
    outcome.write(base)  # before the last upload: the platform may not let us write later
    if sync is not None:
        sync.finish(events)
    sys.exit(outcome.exit_code)


def launch(config: JobConfig, run_dir: Path, events: queue.SimpleQueue[Event]) -> Outcome:
    mode = choose_mode(config, os.environ)
    if mode is Mode.TORCHRUN:
        return launch_torchrun(config, run_dir, events)
    if mode is not Mode.MPI:
        host = Host(config, Cluster((config.current_host,), 1), run_dir, events)
        with stop_at_once():
            entry = prepare(config, mode)
            wait_for_names(config.hosts)
        return run_plain(host, entry)
    return launch_mpi(config, run_dir, events)


def launch_torchrun(config: JobConfig, run_dir: Path, events: queue.SimpleQueue[Event]) -> Outcome:
    host = Host(config, read_cluster(config), run_dir, events)
    part = choose_part(host)
    try:
        with stop_at_once():
            entry = prepare(config, Mode.TORCHRUN)
            check(entry)
            wait_for_names(config.hosts)
    except LaunchError as problem:
        if part is not None:
            part.refuse(problem)
        raise
    return run_torchrun(host, entry, part)


def launch_mpi(config: JobConfig, run_dir: Path, events: queue.SimpleQueue[Event]) -> Outcome:
    from .head import Head  # a job without MPI starts sooner without these
    from .meeting import choose_meeting
    from .worker import Worker

    host = Host(config, read_cluster(config), run_dir, events)
    meeting = choose_meeting(host.cluster.head)
    part = Head(host, meeting) if host.name == host.cluster.head else Worker(host, meeting)
    try:
        with stop_at_once():
            entry = prepare(config, Mode.MPI)
    except LaunchError as problem:
        part.refuse(problem)
        raise
    return part.run(entry)


def prepare(config: JobConfig, mode: Mode) -> EntryPoint:
    """Code in place, packages installed, and the log told."""
    if mode is Mode.FUNCTION:
        entry = resolve_function(training_function(os.environ), config)
    else:
        entry = resolve_entry_point(config)
        install_requirements(entry)
    announce(mode, entry, config, training_environment(config, entry))
    return entry


class _Signalled(BaseException):
    """Not an Exception: code on its way, such as the log's, must not take it for a mishap of its own."""


@contextmanager
def stop_at_once() -> Iterator[None]:
    """While code is fetched and installed nobody waits for events: a signal ends that where it stands."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        raise _Signalled(number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    except _Signalled as signalled:
        raise StopRequested(signalled.args[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
