"""``smp.save`` and ``smp.load``: one file a partition, or one for all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from shardyard_runtime.torch.checkpoints import durable
from shardyard_runtime.torch.ranks import mp_rank, pp_rank, rdp_rank, tp_rank


def partial_name(path: str | os.PathLike[str], v3: bool = False) -> str:
    """``<path>_<pp>_<tp>``, with v3 ``<path>_<pp>_<tp>_<rdp>``: the names that client scripts look for."""
    name = f"{os.fspath(path)}_{pp_rank()}_{tp_rank()}"
    return f"{name}_{rdp_rank()}" if v3 else name


def save(obj: Any, f: str | os.PathLike[str], partial: bool = True, v3: bool = False, **kwargs: Any) -> None:
    """``torch.save``; with ``partial`` to a file of this rank's partition.

    The file appears whole or not at all: it is written beside its place and moved there. Replicas that share
    a folder may all call it; the last one wins. Full saves are for one rank to make.
    """
    target = partial_name(f, v3) if partial else os.fspath(f)
    durable.replace(Path(target), lambda file: torch.save(obj, file, **kwargs))


def load(
    f: str | os.PathLike[str],
    map_location: Any = None,
    partial: bool = True,
    v3: bool = False,
    back_compat: bool = False,
    **kwargs: Any,
) -> Any:
    """``torch.load`` of what :func:`save` wrote with the same ``partial`` and ``v3``.

    Files hold whatever the script put there, so this loads with ``weights_only=False``: trust the file.
    With ``back_compat`` a partition's file may also have the name of the first releases, ``<f>_<mp_rank>``.
    Raises FileNotFoundError naming the partition that has no file.
    """
    target = partial_name(f, v3) if partial else os.fspath(f)
    if partial and back_compat and not os.path.exists(target):
        target = f"{os.fspath(f)}_{mp_rank()}"
    if not os.path.exists(target):
        hint = f"no checkpoint of partition {pp_rank()}" if partial else "no such checkpoint"
        raise FileNotFoundError(
            f"{hint}: {target!r}. Was it saved with the same partitions, and partial={partial}?"
        )
    return torch.load(target, map_location=map_location, weights_only=False, **kwargs)
