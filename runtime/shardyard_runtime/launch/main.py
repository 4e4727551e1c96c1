"""`train`: what the platform starts in every container of the job."""

from __future__ import annotations

import os
import queue
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol

from . import logs, processes, reserve, run_folder, timeouts
from .cluster import Cluster, read_cluster
from .config import JobConfig, base_dir, read_config
from .entry import EntryPoint, Kind
from .entry_choice import resolve_entry_point, resolve_function
from .environment import training_environment
from .errors import LaunchError, StopRequested
from .host import Event, Host
from .invocation import announce
from .masking import Masker
from .modes import Mode, choose_mode, training_function
from .names import wait_for_names
from .outcome import Outcome
from .prctl import adopt_orphans
from .signals import Signalled, Signals

# Not here: what only some jobs need. It is imported where they begin, so that the others start sooner.


class Part(Protocol):
    """One host of several."""

    def refuse(self, problem: LaunchError) -> None: ...


def main() -> NoReturn:
    signals = Signals()
    masker = Masker(os.environ)
    logs.start(masker)
    adopt_orphans()
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    base = base_dir()
    run_dir, sync = None, None
    try:
        timeouts.check(os.environ)
        run_dir = run_folder.make()
        reserve.take(base)
        config = read(base, run_dir)
        masker = Masker(os.environ, config.hyperparameters)
        logs.start(masker, logs.log_level(config, os.environ))
        if config.hyperparameters.get("sagemaker_s3_output"):
            from . import intermediate

            sync = intermediate.start(config)
        outcome = launch(config, run_dir, events, signals)
    except Signalled as signalled:
        outcome = Outcome.of_problem(StopRequested(signalled.number))
    except LaunchError as problem:
        outcome = Outcome.of_problem(problem)
    except Exception as error:
        trace = traceback.format_exc()
        logs.say(trace)
        outcome = Outcome(1, f"The launcher itself failed: {type(error).__name__}: {error}\n{trace}")
    signals.become_events("", events)
    processes.end_descendants()
    if run_dir is not None:
        run_folder.remove(run_dir)
    outcome = Outcome(outcome.exit_code, masker.mask(outcome.text))
    if outcome.exit_code:
        logs.say(f"the job failed with exit code {outcome.exit_code}: {outcome.text.splitlines()[0]}")
    outcome.write(base)  # before the last upload: the platform may not let us write later
    if sync is not None:
        sync.finish(events)
    sys.exit(outcome.exit_code)


def read(base: Path, run_dir: Path) -> JobConfig:
    try:
        return read_config(base)
    except LaunchError as problem:
        from .refusal import tell_the_others

        tell_the_others(base, run_dir, problem)
        raise


def launch(config: JobConfig, run_dir: Path, events: queue.SimpleQueue[Event], signals: Signals) -> Outcome:
    mode = choose_mode(config, os.environ)
    if mode is Mode.MPI:
        return launch_mpi(config, run_dir, events, signals)
    if mode is Mode.TORCHRUN:
        return launch_torchrun(config, run_dir, events, signals)
    from .plain import run_plain

    host = Host(config, Cluster((config.current_host,), 1), run_dir, events)
    entry = prepare(config, mode)
    wait_for_names(config.hosts)
    signals.become_events(host.name, events)
    return run_plain(host, entry)


def launch_torchrun(
    config: JobConfig, run_dir: Path, events: queue.SimpleQueue[Event], signals: Signals
) -> Outcome:
    from .torchrun import check, choose_part, run_torchrun

    host = Host(config, read_cluster(config), run_dir, events)
    part = choose_part(host)

    def prepare_all() -> EntryPoint:
        entry = prepare(config, Mode.TORCHRUN)
        check(entry)
        wait_for_names(config.hosts)
        return entry

    return run_torchrun(host, prepare_or_refuse(part, host, signals, prepare_all), part)


def launch_mpi(
    config: JobConfig, run_dir: Path, events: queue.SimpleQueue[Event], signals: Signals
) -> Outcome:
    from .meeting import choose_meeting

    host = Host(config, read_cluster(config), run_dir, events)
    meeting = choose_meeting(host.cluster.head)
    part: Head | Worker
    if host.name == host.cluster.head:
        from .head import Head

        part = Head(host, meeting)
    else:
        from .worker import Worker

        part = Worker(host, meeting)
    return part.run(prepare_or_refuse(part, host, signals, lambda: prepare(config, Mode.MPI)))


def prepare_or_refuse(
    part: Part | None, host: Host, signals: Signals, prepare_all: Callable[[], EntryPoint]
) -> EntryPoint:
    """Without a word of this host the others would wait for it until their time limit passes."""
    try:
        entry = prepare_all()
    except (LaunchError, Signalled) as problem:
        signals.become_events(host.name, host.events)
        refusal = StopRequested(problem.number) if isinstance(problem, Signalled) else problem
        if part is not None:
            part.refuse(refusal)
        raise refusal from None
    signals.become_events(host.name, host.events)
    return entry


def prepare(config: JobConfig, mode: Mode) -> EntryPoint:
    """Code in place, packages installed, and the log told."""
    if mode is Mode.FUNCTION:
        entry = resolve_function(training_function(os.environ), config)
    else:
        entry = resolve_entry_point(config)
        if entry.kind is Kind.PACKAGE or (entry.code_dir / "requirements.txt").is_file():
            from .requirements import install_requirements

            install_requirements(entry)
    announce(mode, entry, config, training_environment(config, entry))
    return entry


if __name__ == "__main__":
    main()
