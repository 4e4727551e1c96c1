"""Which checkpoint a script means, and which files this rank reads of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shardyard_runtime.torch.checkpoints import layout
from shardyard_runtime.torch.checkpoints.layout import Target
from shardyard_runtime.torch.ranks import pp_size, tp_size


def target(folder: Path, tag: Any, partial: bool) -> Target:
    """The checkpoint with this tag, or without one the newest of its kind.

    Raises FileNotFoundError saying what there is instead.
    """
    if tag is not None:
        return Target(folder, str(tag), partial)
    name = layout.newest(folder)
    if partial:
        if name is not None and name.endswith(layout.SUFFIX):
            return Target(folder, name.removesuffix(layout.SUFFIX), partial)
        saved = next(
            iter(layout.partials(folder)), None
        )  # a full one was saved since, or the pointer is lost
        if saved is not None:
            return Target(folder, saved, partial)
    elif name is not None and not name.endswith(layout.SUFFIX):
        return Target(folder, name, partial)
    raise FileNotFoundError(_nothing(folder, "no tag was given, and no", partial))


def files(target: Target, rank: tuple[int, int]) -> tuple[dict[str, Path], str | None]:
    """The files of a pipeline and a tensor-parallel rank by what they hold, and which save made them.

    Raises FileNotFoundError when there is no such checkpoint, ValueError when its partitions are not as many.
    """
    if not target.partial:
        found = layout.full_files(target)
        if not found:
            raise FileNotFoundError(_nothing(target.folder, f"{target.tag!r} is no", partial=False))
        return found, None
    folder = layout.partial_folder(target)
    made = layout.manifest(folder) if folder is not None else None
    if folder is None or made is None:
        raise FileNotFoundError(_nothing(target.folder, f"{target.tag!r} is no", partial=True))
    if made["format"] != layout.FORMAT:
        raise ValueError(
            f"{str(folder)!r} has the format {made['format']}, and this release reads {layout.FORMAT}: "
            "resume with the release that saved it, and save a full checkpoint"
        )
    for what, saved, here in (
        ("partitions", made["partitions"], pp_size()),
        ("tensor_parallel_degree", made["tensor_parallel_degree"], tp_size()),
    ):
        if saved != here:
            raise ValueError(
                f"the partial checkpoint {str(folder)!r} was saved with {what} {saved}, and this job has {here}: "
                f"run it with {what} {saved}, or resume from a full checkpoint (partial=False), which fits any number"
            )
    names = {
        "model": layout.part("model", *rank),
        "optimizer": layout.part("optimizer", *rank),
        "user_content": layout.USER_CONTENT,
    }
    return {kind: folder / names[kind] for kind in made["files"]}, made["save"]


def _nothing(folder: Path, subject: str, partial: bool) -> str:
    kind = "partial" if partial else "full"
    text = f"{subject} {kind} checkpoint is in {str(folder)!r}"
    if not folder.is_dir():
        return f"{text}: the folder does not exist. Pass the path given to smp.save_checkpoint"
    tags = list(layout.partials(folder))
    if partial and tags:
        return f"{text}: there are {tags}. Pass one of them as tag=, or tag=None for the newest"
    others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if not others:
        return f"{text}: the folder is empty. Pass the path given to smp.save_checkpoint"
    advice = "pass partial=True" if tags else "pass the file's name as tag= with partial=False"
    return f"{text}: there are {others[:20]}. If one of them is meant, {advice}"
