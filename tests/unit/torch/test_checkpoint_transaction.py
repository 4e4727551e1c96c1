"""A save that dies before any of its operations leaves the old checkpoint or the new one, never parts of both."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard_runtime.torch.checkpoints import durable, layout, transaction
from shardyard_runtime.torch.checkpoints.layout import Target

OPERATIONS = ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink")
_scandir = os.scandir
KINDS = {"one tag": ("latest", True), "new tags": (None, True), "full": ("model.pt", False)}


class Killed(BaseException):
    """Not an Exception: no handler of the code goes on."""


class Backwards(list[Any]):
    """``os.scandir`` with the manifest last: a folder's order is the file system's own."""

    def __init__(self, folder: Any) -> None:
        with _scandir(folder) as entries:
            super().__init__(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __enter__(self) -> Backwards:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def dying(at: int) -> Iterator[list[str]]:
    """Before its ``at``-th operation, and at every later one, the process is dead; yields the names of those done."""
    done: list[str] = []
    real = {name: getattr(os, name) for name in OPERATIONS}

    def counted(name: str) -> Any:
        def operation(*args: Any, **kwargs: Any) -> Any:
            if len(done) >= at:
                raise Killed
            done.append(name)
            return None if name == "fsync" else real[name](*args, **kwargs)

        return operation

    with pytest.MonkeyPatch.context() as patch:
        for name in OPERATIONS:
            patch.setattr(os, name, counted(name))
        patch.setattr(os, "scandir", Backwards)
        yield done


def target_of(folder: Path, kind: str, step: int) -> Target:
    tag, partial = KINDS[kind]
    return Target(folder, tag or f"step{step}", partial)


def save(folder: Path, kind: str, step: int) -> None:
    """What the ranks do together; even steps have an optimizer."""
    target = target_of(folder, kind, step)
    kinds = ["model", "optimizer"] if step % 2 == 0 else ["model"]
    transaction.begin(target)
    for what in kinds:
        name = layout.part(what, 0, 0) if target.partial else target.full_names[what]
        durable.write(target.scratch / name, lambda file: file.write(json.dumps(step).encode()))
    transaction.commit(target, {"files": kinds})
    transaction.publish(target)
    transaction.prune(folder, 1)


def saved(folder: Path, kind: str, step: int) -> int | None:
    """The step of the checkpoint that a reader finds under the tag of ``step``, whole."""
    target = target_of(folder, kind, step)
    if target.partial:
        found = layout.partial_folder(target)
        if found is None:
            return None
        made = layout.manifest(found)
        assert made is not None
        files = {what: found / layout.part(what, 0, 0) for what in made["files"]}
    else:
        files = layout.full_files(target)
    steps = {what: json.loads(path.read_text()) for what, path in files.items()}
    assert len(set(steps.values())) <= 1, steps
    step_here = steps.get("model")
    if step_here is not None:
        assert ("optimizer" in steps) == (step_here % 2 == 0), "files of two saves"
    return step_here


@pytest.mark.parametrize("kind", KINDS)
def test_killed_before_every_operation(tmp_path: Path, kind: str) -> None:
    at = 0
    while True:
        folder = tmp_path / str(at)
        folder.mkdir()
        save(folder, kind, 1)
        save(folder, kind, 2)
        finished = False
        with dying(at) as done, contextlib.suppress(Killed):
            save(folder, kind, 3)
            finished = True
        for tag in layout.partials(folder):  # one that is being removed is none
            place = layout.partial_folder(Target(folder, tag, True))
            assert place is not None
            assert len(list(place.iterdir())) == 1 + len((layout.manifest(place) or {})["files"]), (tag, done)
        three, two = saved(folder, kind, 3), saved(folder, kind, 2)
        assert 3 in (three, two) or 2 in (three, two), done
        pointed = layout.newest(folder)
        assert pointed is not None
        step_pointed = int("".join(c for c in pointed if c.isdigit()) or 3)
        assert saved(folder, kind, step_pointed) in (2, 3), (pointed, done)
        save(folder, kind, 4)
        assert saved(folder, kind, 4) == 4
        assert not [entry.name for entry in folder.iterdir() if entry.name.startswith(".")]
        if finished:
            break
        at += 1
    assert at > 15  # it did die at many places


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 40)), min_size=1, max_size=6))
def test_killed_again_and_again(saves: list[tuple[str, int]]) -> None:
    """Crash upon crash, kinds mixed in one folder: what was complete stays so, and the pointer names it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        last: dict[str, int] = {}
        for step, (kind, at) in enumerate(saves, start=1):
            with dying(at), contextlib.suppress(Killed):
                save(folder, kind, step)
            for other, right in list(last.items()):
                before, now = saved(folder, other, right), saved(folder, other, step)
                if other == kind:
                    assert step in (before, now) or right in (before, now)
                elif KINDS[other][1] != KINDS[kind][1]:
                    assert before == right
            if saved(folder, kind, step) == step:
                last[kind] = step
                if KINDS[kind][1]:  # one partial checkpoint is kept
                    last = {k: s for k, s in last.items() if k == kind or not KINDS[k][1]}
            pointed = layout.newest(folder)
            if pointed is not None and pointed.endswith(layout.SUFFIX):
                target = Target(folder, pointed.removesuffix(layout.SUFFIX), True)
                assert layout.partial_folder(target) is not None
            elif pointed is not None:
                assert layout.full_files(Target(folder, pointed, False))
