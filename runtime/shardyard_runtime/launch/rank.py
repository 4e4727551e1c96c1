"""The wrapper around the user's script: one process of it is one rank.

It takes over the environment of its own host, and makes a failure end the process at once: an exception must
not wait in MPI_Finalize for ranks that will never come.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import runpy
import sys
import time
import traceback

from . import processes, rank_plan, records


def main() -> None:
    rank = int(os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ.get("PMIX_RANK") or 0)
    folder = rank_plan.find_run_dir(rank)
    plan = rank_plan.load(folder)
    processes.die_with_parent()
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
        _run_script(plan)
    except BaseException as error:
        code = exit_code(error)
        if code == 0:
            return  # sys.exit(0): the interpreter ends as usual, and MPI with it
        _report(error, code, plan, rank, folder)
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
    os.environ["SHARDYARD_LOCAL_RANK"] = local_rank
    if "OMPI_COMM_WORLD_RANK" in os.environ:
        os.environ["OMPI_COMM_WORLD_LOCAL_RANK"] = local_rank
        os.environ["OMPI_COMM_WORLD_LOCAL_SIZE"] = str(plan.processes_per_host)
    from .cluster import core_count

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, core_count() // max(1, plan.ranks_on_machine))))


def exit_code(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        return error.code & 0xFF if isinstance(error.code, int) else 1
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def _run_script(plan: rank_plan.RankPlan) -> None:
    script = os.path.join(plan.code_dir, plan.program)
    sys.argv = [plan.program, *plan.arguments]
    added = plan.environment.get("PYTHONPATH", "").split(os.pathsep)
    paths = [os.path.dirname(script), *added, *sys.path]
    sys.path[:] = list(dict.fromkeys(path for path in paths if path))
    runpy.run_path(script, run_name="__main__")


def _report(
    error: BaseException, code: int, plan: rank_plan.RankPlan, rank: int, folder: os.PathLike[str]
) -> None:
    from pathlib import Path

    trace = error.__traceback__
    while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    full = "".join(traceback.format_exception(type(error), error, trace))
    message = str(error)
    if isinstance(error, SystemExit):
        message = f"exit code {code}" if isinstance(error.code, int) else message
        full = full if isinstance(error.code, int) else f"{error.code}\n{full}"
    record = records.FailureRecord(
        time=time.time(),
        rank=rank,
        host=plan.host,
        exception=type(error).__qualname__,
        message=message,
        exit_code=code,
        follow_up=bool(getattr(error, "shardyard_follow_up", False)),
        frames=records.user_frames(trace, plan.code_dir),
        traceback=full,
    )
    with contextlib.suppress(OSError):
        records.save(record, Path(folder))
    with contextlib.suppress(Exception):
        sys.stderr.write(full)


def _is_machinery(filename: str) -> bool:
    return filename == __file__ or filename.startswith("<frozen") or os.path.basename(filename) == "runpy.py"


def _leave(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _whole_lines(descriptor: int) -> io.TextIOWrapper:
    """A line travels in one write, so that the tag before it is never in its middle."""
    raw = open(descriptor, "wb", closefd=False)  # noqa: SIM115  # lives as long as the process
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


if __name__ == "__main__":
    main()
