"""Outputs of plain processes, and the text a failed job ends with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from shardyard.local import layout, verdict
from shardyard.local.spec import JobResult, JobSpec


def collect_processes(job: JobSpec, root: Path, output: Path) -> None:
    for host in job.host_names:
        base = root / host / "opt" / "ml"
        for folder in layout.WRITTEN_BY_USER:
            if (base / folder).is_dir():
                shutil.copytree(base / folder, output / host / folder, symlinks=True, dirs_exist_ok=True)


def clear(output: Path, job: JobSpec) -> None:
    """Removes what an earlier run left for these hosts: a stale failure file would be read as this job's."""
    output.mkdir(parents=True, exist_ok=True)
    for host in job.host_names:
        place = output / host
        if place.is_symlink() or place.is_file():
            os.unlink(place)
        elif place.is_dir():
            for folder in layout.WRITTEN_BY_USER:
                shutil.rmtree(place / folder, ignore_errors=True)


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
    if result.timed_out:
        head = "the job ran past its time limit and was stopped"
    else:
        head = f"{host} ended with exit code {result.exit_codes.get(host or '', 1)}"
    texts = [result.failures[host]] if host in result.failures else result.failures.values()
    body = "".join(f"\nfailed: {verdict.without_traceback(text)}" for text in dict.fromkeys(texts))
    where = f"\nLogs and outputs of every host: {result.output}" if result.output else ""
    return f"{head}{body}{where}"
