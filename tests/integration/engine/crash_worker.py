"""One rank of a training that saves after every step, and kills itself in the middle of a save.

Arguments: 'reference' and a file for the losses of an uninterrupted run, or a folder, how to save, that file, which
rank dies and before which of its operations (0: none does).
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import smdistributed.modelparallel.torch as smp
from shardyard_runtime.comm.torch_objects import ObjectMessages
from tests.integration.engine.checkpoint_worker import Run, close

STEPS, SAVES = 80, 8
SAVING: dict[str, dict[str, Any]] = {
    "new tags": {"num_kept_partial_checkpoints": 1},
    "one tag": {},
    "full": {"partial": False},
}


class Death:
    """Counts what touches the disk or waits for other ranks, and dies before the n-th of it; a write dies half done."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.armed = False
        for name in ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink"):
            setattr(os, name, self._dying(getattr(os, name)))
        ObjectMessages.allgather = self._dying(ObjectMessages.allgather)  # type: ignore[method-assign]
        torch.save = self._dying(torch.save, self._torn)

    def _dying(
        self, operation: Callable[..., Any], last: Callable[..., Any] | None = None
    ) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if self.armed:
                self._left -= 1
                if self._left == 0:
                    if last is not None:
                        last(operation, *args)
                    print(f"rank {smp.rank()} dies before {operation.__name__}", flush=True)
                    os.kill(os.getpid(), signal.SIGKILL)
            return operation(*args, **kwargs)

        return counted

    def _torn(self, write: Callable[..., Any], value: Any, file: Any) -> None:
        whole = io.BytesIO()
        write(value, whole)
        file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
        file.flush()


def start(run: Run, folder: Path, how: str) -> int:
    """Resumes; returns the step that comes next: 0 when no save has ever been completed."""
    try:
        content = smp.resume_from_checkpoint(
            folder, tag="model" if how == "full" else None, partial=how != "full"
        )
    except (FileNotFoundError, smp.exceptions.PeerFailed) as nothing:
        if "checkpoint is in" not in str(nothing):
            raise
        return 0
    run.schedule.load_state_dict(content["schedule"])
    return int(content["step"])


def main(folder: Path, how: str, reference: Path, victim: int, at: int) -> None:
    smp.init({"partitions": 2, "microbatches": 2, "ddp": True})
    expected = json.loads(reference.read_text())
    death = Death(at if smp.rank() == victim else 0)
    run = Run("skips", seed=1)
    first = start(run, folder, how)
    print(f"resumed at {first} rank={smp.rank()}", flush=True)
    for step in range(first, first + SAVES):
        losses = run.train(step, step + 1)
        assert close(losses, expected[step : step + 1]), (step, losses, expected[step])
        content = {"step": step + 1, "schedule": run.schedule.state_dict()}
        tag = f"step{step + 1}" if how == "new tags" else "model"
        death.armed = True
        run.save(folder, tag, user_content=content, **SAVING[how])
        death.armed = False
        if smp.rank() == 0:
            print(f"saved {step + 1}", flush=True)
    hidden = [p.name for p in folder.iterdir() if p.name.startswith(".")]
    assert not hidden, hidden


def uninterrupted(reference: Path) -> None:
    smp.init({"partitions": 1, "microbatches": 4})
    reference.write_text(json.dumps(Run("skips", seed=1).train(0, STEPS)))


if __name__ == "__main__":
    if sys.argv[1] == "reference":
        uninterrupted(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
