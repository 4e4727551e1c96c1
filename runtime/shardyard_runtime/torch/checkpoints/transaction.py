"""Makes a checkpoint appear all at once, whatever is killed when. Called by one rank a folder.

Its files are written to a hidden folder; one rename, to another hidden name, makes it count, over an older one of
the same tag too: readers look there first. Then it is moved to its place, and the pointer file follows.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from shardyard_runtime.torch.checkpoints import durable, layout
from shardyard_runtime.torch.checkpoints.layout import Target

_LEFT = (layout.SAVING, layout.OLD, layout.PROBE, durable.SCRATCH)


def begin(target: Target) -> None:
    """An empty scratch folder; what earlier crashes left is put right first."""
    recover(target.folder)
    target.scratch.mkdir()


def recover(folder: Path) -> None:
    """Ends what a crash cut off: a complete checkpoint goes to its place, the rest away."""
    entries = [entry for entry in folder.iterdir() if entry.name.startswith(".")]
    for entry in entries:
        if entry.name.endswith(layout.COMPLETE):
            _settle(entry)
    for entry in entries:
        if entry.name.endswith(_LEFT):
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)


def commit(target: Target, about: dict[str, Any]) -> None:
    """From here on it is the checkpoint of its tag."""
    number = 1 + max(layout.partials(target.folder).values(), default=0)
    content = {"format": layout.FORMAT, "partial": target.partial, "number": number, **about}
    layout.write_manifest(target.scratch, content)
    durable.sync_folder(target.scratch)
    os.rename(target.scratch, target.complete)
    durable.sync_folder(target.folder)


def abandon(target: Target) -> None:
    """Frees what a failed save has written; one that counts already stays."""
    shutil.rmtree(target.scratch, ignore_errors=True)


def publish(target: Target) -> None:
    """To its place, and the pointer to it."""
    _settle(target.complete)
    durable.replace(target.folder / layout.NEWEST, lambda file: file.write(f"{target.name}\n".encode()))


def prune(folder: Path, kept: int) -> None:
    """Leaves the ``kept`` partial checkpoints that were saved last."""
    for tag in list(layout.partials(folder))[kept:]:
        _remove(folder / f"{tag}{layout.SUFFIX}")


def _settle(complete: Path) -> None:
    """Moves a complete checkpoint to its place; any part of this may have been done before."""
    made = layout.manifest(complete)
    if made is not None and made["partial"]:
        place = complete.with_name(complete.name[1:].removesuffix(layout.COMPLETE))
        if place.exists():
            shutil.rmtree(place)  # readers have gone to the complete one
        os.rename(complete, place)
        durable.sync_folder(place.parent)
        return
    if made is not None:
        target = Target(complete.parent, complete.name[1:].removesuffix(layout.COMPLETE), partial=False)
        for kind, name in target.full_names.items():
            if kind not in made["files"]:
                (target.folder / name).unlink(missing_ok=True)
            elif (complete / name).exists():
                os.replace(complete / name, target.folder / name)
        durable.sync_folder(target.folder)
    shutil.rmtree(complete)


def _remove(place: Path) -> None:
    """A folder that is being removed must not look like a checkpoint."""
    aside = place.with_name(f".{place.name}{layout.OLD}")
    os.rename(place, aside)
    shutil.rmtree(aside)
