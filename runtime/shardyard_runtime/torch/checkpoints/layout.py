"""Where a checkpoint lies.

In the folder of ``path``, as the library that scripts were written for had it:

- ``<tag>_partial/``: ``model_<pp>_<tp>.pt``, ``optimizer_<pp>_<tp>.pt``, ``user_content.pt``, and ours, ``checkpoint.json``
- ``<tag>``: a full checkpoint's model; beside it ``user_content_<tag>`` and ours, ``optimizer_<tag>``
- ``newest``: the name of the checkpoint saved last

Source: sagemaker-python-sdk v2.199.0, doc/api/training/smp_versions/latest/smd_model_parallel_pytorch.rst.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shardyard_runtime.torch.checkpoints import durable

MANIFEST, NEWEST, SUFFIX = "checkpoint.json", "newest", "_partial"
USER_CONTENT = "user_content.pt"
SAVING, COMPLETE, OLD, PROBE = ".ckpt-saving", ".ckpt-complete", ".ckpt-old", ".ckpt-probe"  # of hidden names
FORMAT = 1


def part(kind: str, pp: int, tp: int) -> str:
    """The file of one partition in a partial checkpoint; ``kind`` is ``model`` or ``optimizer``."""
    return f"{kind}_{pp}_{tp}.pt"


@dataclass(frozen=True)
class Target:
    """One checkpoint of a folder, there or to be made. Raises ValueError for a tag that cannot name one."""

    folder: Path
    tag: str
    partial: bool

    def __post_init__(self) -> None:
        reserved = not self.partial and (
            self.tag == NEWEST
            or self.tag.endswith(SUFFIX)
            or self.tag.startswith(("user_content_", "optimizer_"))
        )
        if reserved or not self.tag or self.tag.startswith(".") or os.sep in self.tag or "\0" in self.tag:
            raise ValueError(
                f"the tag {self.tag!r} cannot name a checkpoint: give a file name such as 'total_steps100', no path, "
                "no leading dot, and none that checkpoints use themselves"
            )

    @property
    def name(self) -> str:
        return f"{self.tag}{SUFFIX}" if self.partial else self.tag

    @property
    def place(self) -> Path:
        return self.folder / self.name

    @property
    def scratch(self) -> Path:
        """Where it is written."""
        return self.folder / f".{self.name}{SAVING}"

    @property
    def complete(self) -> Path:
        """Where it lies from the moment that it counts until it is in its place."""
        return self.folder / f".{self.name}{COMPLETE}"

    @property
    def full_names(self) -> dict[str, str]:
        """The files of a full checkpoint, by what they hold."""
        return {
            "model": self.tag,
            "optimizer": f"optimizer_{self.tag}",
            "user_content": f"user_content_{self.tag}",
        }


def manifest(folder: Path) -> dict[str, Any] | None:
    """What the checkpoint in ``folder`` says of itself; None when there is none."""
    try:
        read: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return read


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    durable.write(folder / MANIFEST, lambda file: file.write(json.dumps(content, indent=1).encode()))


def partial_folder(target: Target) -> Path | None:
    """The folder of a partial checkpoint; None when there is no complete one."""
    return next((f for f in (target.complete, target.place) if manifest(f) is not None), None)


def full_files(target: Target) -> dict[str, Path]:
    """The files of a full checkpoint, by what they hold; empty when there is none."""
    names = target.full_names
    made = manifest(target.complete)
    if made is not None:  # not all of it may be in its place yet
        both = {kind: (target.complete / names[kind], target.folder / names[kind]) for kind in made["files"]}
        return {kind: (new if new.exists() else moved) for kind, (new, moved) in both.items()}
    if not target.place.is_file():
        return {}
    return {kind: target.folder / name for kind, name in names.items() if (target.folder / name).is_file()}


def partials(folder: Path) -> dict[str, int]:
    """Tags of the partial checkpoints and the numbers of their saves, the last one in front."""
    found: dict[str, int] = {}
    for entry in folder.iterdir() if folder.is_dir() else ():
        hidden = entry.name.startswith(".")
        name = entry.name[1:].removesuffix(COMPLETE) if hidden else entry.name
        made = manifest(entry) if name.endswith(SUFFIX) and hidden == entry.name.endswith(COMPLETE) else None
        if made is not None:
            tag = name.removesuffix(SUFFIX)
            found[tag] = max(made["number"], found.get(tag, 0))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def newest(folder: Path) -> str | None:
    """The name in the pointer file; None without one."""
    try:
        return (folder / NEWEST).read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
