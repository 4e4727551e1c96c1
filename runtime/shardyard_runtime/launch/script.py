"""Runs the user's Python program in this process, as `python train.py` would, and leaves a record when it fails."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import importlib.machinery
import os
import runpy
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from . import prctl, rank_plan, records
from .entry import EntryPoint, Kind
from .rank_watch import split


def main() -> None:
    folder = Path(os.environ.pop(rank_plan.RUN_DIR))
    plan = rank_plan.load(folder)
    prctl.die_with_parent()
    rank = int(os.environ.get("RANK") or 0)
    is_shared = (
        "TORCHELASTIC_RUN_ID" in os.environ
    )  # torchrun's ranks write to one pipe, and must not cut lines
    if is_shared:
        split(rank, plan.host, folder)
    else:  # torchrun has got the environment, and added its own to it
        os.environ.update(plan.environment)
    function = sys.argv[1] if ":" in sys.argv[1] and sys.argv[1] != plan.program else ""
    for stream in (sys.stdout, sys.stderr):
        options = {"write_through": False} if is_shared else {}
        stream.reconfigure(line_buffering=True, **options)  # type: ignore[union-attr]
    with contextlib.suppress(Exception):
        faulthandler.enable(all_threads=False)
    try:
        if function:
            call(function, plan)
        else:
            run_program(plan)
    except BaseException as error:
        code = exit_code(error)
        trace = below_launcher(error)
        if code:
            with contextlib.suppress(OSError):
                records.save(make_record(error, trace, code, plan, rank), folder)
        if isinstance(error, SystemExit):
            raise
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(code)


def run_program(plan: rank_plan.RankPlan) -> None:
    entry = EntryPoint(Path(plan.code_dir), plan.program)
    os.chdir(plan.code_dir)
    script = os.path.join(plan.code_dir, plan.program)
    is_package = entry.kind is Kind.PACKAGE
    first = plan.code_dir if is_package else os.path.dirname(script)
    sys.path[:] = _search_path(plan, first)
    sys.argv = [plan.program, *plan.arguments]
    if is_package:
        runpy.run_module(entry.module_name, run_name="__main__", alter_sys=True)
        return
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    # Not runpy.run_path: it empties the module at the end, under the feet of threads and exit handlers.
    module = types.ModuleType("__main__")
    module.__file__ = script
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", script)
    module.__dict__.update(__builtins__=__builtins__, __cached__=None)
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


def call(function: str, plan: rank_plan.RankPlan) -> None:
    """`package.module:function`, as SAGEMAKER_TRAINING_MODULE names it."""
    sys.path[:] = _search_path(plan, plan.code_dir)
    sys.argv = [function]
    module, _, name = function.partition(":")
    target: Callable[[], object] = getattr(importlib.import_module(module), name)
    target()


def exit_code(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        return error.code & 0xFF if isinstance(error.code, int) else 1
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def below_launcher(error: BaseException) -> TracebackType | None:
    """The traceback from the user's first frame on."""
    trace = error.__traceback__
    while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def make_record(
    error: BaseException, trace: TracebackType | None, code: int, plan: rank_plan.RankPlan, rank: int
) -> records.FailureRecord:
    full = "".join(traceback.format_exception(type(error), error, trace))
    message = records.describe(error)
    if isinstance(error, SystemExit):
        message = f"exit code {code}" if isinstance(error.code, int) else message
        full = full if isinstance(error.code, int) else f"{error.code}\n{full}"
    frames = records.user_frames(trace, plan.code_dir)
    if isinstance(error, SyntaxError) and error.filename:
        frames = [f'  File "{error.filename}", line {error.lineno}\n    {(error.text or "").strip()}']
    return records.FailureRecord(
        time=time.time(),
        rank=rank,
        host=plan.host,
        exception=type(error).__qualname__,
        message=message,
        exit_code=code,
        follow_up=bool(getattr(error, "shardyard_follow_up", False)),
        frames=frames,
        traceback=full,
    )


def _search_path(plan: rank_plan.RankPlan, first: str) -> list[str]:
    added = plan.environment.get("PYTHONPATH", "").split(os.pathsep)
    # `python -m` puts the folder where it was started first: our private one.
    rest = sys.path if getattr(sys.flags, "safe_path", False) else sys.path[1:]
    return list(dict.fromkeys(path for path in [first, *added, *rest] if path))


def _is_machinery(filename: str) -> bool:
    return filename == __file__ or filename.startswith("<frozen") or os.path.basename(filename) == "runpy.py"


if __name__ == "__main__":
    main()
