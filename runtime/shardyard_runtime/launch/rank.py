"""The wrapper around the user's script: one process of it is one rank.

It takes over the environment of its own host, and makes a failure end the process at once: an exception must
not wait in MPI_Finalize for ranks that will never come.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import sys
from typing import NoReturn

from . import memory, prctl, rank_plan, records
from .cores import core_count
from .hand_over import hand_over
from .rank_watch import split
from .script import below_launcher, exit_code, make_record, run_program


def main() -> None:
    rank = int(os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ.get("PMIX_RANK") or 0)
    folder = rank_plan.find_run_dir(rank)
    plan = rank_plan.load(folder)
    prctl.die_with_parent()
    split(rank, plan.host, folder)
    memory.offer_to_the_kernel()
    hand_over(folder, rank, is_command=bool(plan.command))
    take_environment(plan, rank)
    os.chdir(plan.code_dir)
    if plan.command:
        os.execvp(plan.command[0], plan.command)
    for stream in ("stdout", "stderr"):
        setattr(sys, stream, _whole_lines(getattr(sys, stream).fileno()))
    with contextlib.suppress(Exception):
        faulthandler.enable(all_threads=False)
    with contextlib.suppress(ImportError):
        import mpi4py  # noqa: F401  # before the script, so that what it configures holds
    try:
        run_program(plan)
    except BaseException as error:
        code = exit_code(error)
        if code == 0:
            return  # sys.exit(0): the interpreter ends as usual, and MPI with it
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        record = make_record(error, below_launcher(error), code, plan, rank)
        with contextlib.suppress(OSError):
            records.save(record, folder)
        with contextlib.suppress(Exception):
            sys.stderr.write(record.traceback)
        _leave(code)


def take_environment(plan: rank_plan.RankPlan, rank: int) -> None:
    """This host's variables, except those that mpirun made for this rank or the user exported."""
    kept = set(filter(None, os.environ.get(rank_plan.EXPORTED, "").split(",")))
    for name, value in plan.environment.items():
        if name not in kept and not name.startswith(("OMPI_", "PMIX_", "PRTE_", "OPAL_")):
            os.environ[name] = value
    if "TMPDIR" not in plan.environment and "TMPDIR" not in kept:
        os.environ.pop("TMPDIR", None)  # it was for the files of mpirun's daemons
    local_rank = str(rank % plan.processes_per_host)
    if os.environ.get(rank_plan.RUN_DIRS):  # mpirun takes them all for ranks of one host
        os.environ["OMPI_COMM_WORLD_LOCAL_RANK"] = local_rank
        os.environ["OMPI_COMM_WORLD_LOCAL_SIZE"] = str(plan.processes_per_host)
    os.environ["SHARDYARD_LOCAL_RANK"] = os.environ.get("OMPI_COMM_WORLD_LOCAL_RANK", local_rank)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, core_count() // max(1, plan.ranks_on_machine))))


def _leave(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _whole_lines(descriptor: int) -> io.TextIOWrapper:
    """A line travels in one write, however the interpreter was told to buffer."""
    raw = open(descriptor, "wb", closefd=False)  # noqa: SIM115  # lives as long as the process
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


if __name__ == "__main__":
    main()
