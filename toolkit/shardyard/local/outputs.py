"""Where a job's outputs go: a folder that one job has at a time, cleared of what an earlier one left."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shardyard.errors import MissingError, ProjectError
from shardyard.local import artifacts, layout, locks, verdict
from shardyard.local.spec import JobResult, JobSpec
from shardyard.local.workplace import remove_tree

LOCK = ".lock"
LOG = "log.txt"
DEFAULT = ".shardyard/run"  # a folder that never enters an image
REPORT = "report.html"
_OURS = (artifacts.MODEL, artifacts.OUTPUT, REPORT)
_OF_HOST = ("model", "output", "checkpoints", LOG)
_HOST = re.compile(r"algo-[1-9][0-9]*")


@contextmanager
def claimed(folder: Path, elsewhere: bool) -> Iterator[Path]:
    """The folder for this job alone, or with ``elsewhere`` the next of the name that no running job writes to.
    Raises ProjectError where another job writes there."""
    place, number = folder, 1
    while (lock := _lock(place)) is None:
        if not elsewhere:
            raise ProjectError(f"another job writes to {str(place)!r}. Type: shardyard run --output FOLDER")
        number += 1
        place = folder.with_name(f"{folder.name}-{number}")
    try:
        yield place
    finally:
        locks.release(place / LOCK, lock)


def _lock(place: Path) -> int | None:
    try:
        place.mkdir(parents=True, exist_ok=True)
        return locks.take(place / LOCK)
    except OSError as error:
        raise MissingError(f"cannot write to {str(place)!r}: {error.strerror or error}") from error


def clear(output: Path) -> None:
    """Removes what an earlier run left: a stale failure file would be read as this job's. Files of others stay."""
    try:
        for entry in output.iterdir():
            if entry.name in _OURS or (_HOST.fullmatch(entry.name) and not entry.is_dir()):
                entry.unlink()
            elif _HOST.fullmatch(entry.name):
                for name in _OF_HOST:
                    remove_tree(entry / name)
                if not any(entry.iterdir()):
                    entry.rmdir()
    except OSError as error:
        raise MissingError(
            f"cannot remove what an earlier run left in {str(output)!r}: {error}. Remove it, or give --output FOLDER"
        ) from error


def collect_processes(job: JobSpec, root: Path, output: Path) -> list[str]:
    """What plain processes wrote, under ``<output>/<host>``; says what could not be copied."""
    problems = []
    for host in job.host_names:
        for name, path in layout.written_by_user(job).items():
            place = root / host / path.relative_to("/")
            try:
                if place.is_dir():
                    shutil.copytree(
                        place, output / host / name, symlinks=True, ignore=_no_files, dirs_exist_ok=True
                    )
            except OSError as error:
                problems.append(f"{host}: {path} could not be collected: {error}")
    return problems


def _no_files(folder: str, names: list[str]) -> list[str]:
    """Pipes, sockets and devices: they cannot be copied."""
    kinds = {name: os.lstat(os.path.join(folder, name)).st_mode for name in names}
    keep = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
    return [name for name, mode in kinds.items() if not any(is_kind(mode) for is_kind in keep)]


def read_failures(result: JobResult, job: JobSpec, output: Path) -> None:
    for host in job.host_names:
        text = layout.failure_text(output / host)
        if text:
            result.failures[host] = text
    named = (verdict.host_of(text, job.host_names) for text in result.failures.values())
    result.blamed = next(filter(None, named), None)


def summary(result: JobResult) -> str:
    """Why the job failed, with the host named and its failure text."""
    host = result.failed_host
    if result.past:
        limit = "[job] max_run" if result.past.setting == "max_run" else "its time limit"
        head = f"the job ran past {limit} ({result.past.seconds:g} s) and was stopped"
    else:
        head = f"{host} ended with exit code {result.exit_codes.get(host or '', 1)}"
    texts = [result.failures[host]] if host in result.failures else result.failures.values()
    body = "".join(f"\nfailed: {verdict.without_traceback(text)}" for text in dict.fromkeys(texts))
    where = f"\nLogs and outputs of every host: {result.output}" if result.output else ""
    return f"{head}{body}{where}"
