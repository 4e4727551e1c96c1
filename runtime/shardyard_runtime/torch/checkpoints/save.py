"""``smp.save_checkpoint``."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import torch

from shardyard_runtime.torch.checkpoints import durable, layout, sites, transaction
from shardyard_runtime.torch.checkpoints.layout import Target
from shardyard_runtime.torch.checkpoints.plain import plain
from shardyard_runtime.torch.checkpoints.together import gather, together
from shardyard_runtime.torch.model import DistributedModel
from shardyard_runtime.torch.model_state import PARTIAL_KEY
from shardyard_runtime.torch.optimizer import DistributedOptimizer
from shardyard_runtime.torch.ranks import pp_rank, pp_size, tp_rank, tp_size
from shardyard_runtime.torch.state import state


def save_checkpoint(
    path: str | os.PathLike[str],
    tag: str | int,
    partial: bool = True,
    model: DistributedModel | None = None,
    optimizer: DistributedOptimizer | None = None,
    user_content: Any = None,
    translate_if_full: bool = True,
    num_kept_partial_checkpoints: int | None = None,
) -> None:
    """Saves a checkpoint; whatever is killed meanwhile, the last complete one stays loadable. Collective over the world.

    Args:
        path: the folder; made if need be. Ranks of a host pass the same one; hosts may each have their own.
        tag: names the checkpoint; saving a tag again replaces it.
        partial: a folder with one file a partition, for going on with training in as many partitions. Otherwise one
            file with the plain state dict of the model, the optimizer's beside it, for any number of partitions.
        user_content: any object that ``pickle`` takes; that of the first rank is saved.
        translate_if_full: a full model's state dict is translated to Hugging Face's names where the model has others.
        num_kept_partial_checkpoints: afterwards so many partial checkpoints, the last saved, are left in ``path``.

    Raises ValueError or TypeError for what cannot be saved, OSError for what cannot be written, and PeerFailed where
    another rank could not.
    """
    asked = together(
        "reading the arguments of save_checkpoint",
        lambda: _checked(tag, partial, model, optimizer, user_content, num_kept_partial_checkpoints),
    )
    if len({(name, full) for name, full, _ in asked}) > 1:
        raise ValueError(
            f"every rank must save the same checkpoint, but their tags are {[name for name, *_ in asked]}"
        )
    token = asked[0][-1]
    target = Target(Path(path), str(tag), partial)
    site = sites.survey(target.folder, token)
    local: dict[str, Any] = {}
    together("collecting the state", lambda: local.update(_local(model, optimizer)))
    if partial:
        parts = _partial_parts(local)
    else:
        parts = _full_parts(target, local, site.committers, translate_if_full)
    about = {
        "save": token,
        "partitions": pp_size(),
        "tensor_parallel_degree": tp_size(),
        "files": [
            k
            for k, v in {"model": model, "optimizer": optimizer, "user_content": user_content}.items()
            if v is not None
        ],
    }

    def write() -> None:
        content = layout.USER_CONTENT if partial else target.full_names["user_content"]
        if site.commits and user_content is not None:
            _write(target.scratch / content, user_content)
        if site.writes if partial else site.commits:
            for name, value in parts.items():
                _write(target.scratch / name, value)

    def acting(what: str, act: Any) -> None:
        together(what, lambda: act() if site.commits else None)

    acting("clearing up after earlier saves", lambda: transaction.begin(target))
    try:
        together("writing a checkpoint", write)
        acting("completing a checkpoint", lambda: transaction.commit(target, about))
    except Exception:
        if site.commits:  # a full disk gets its room back at once
            transaction.abandon(target)
        raise
    acting("publishing a checkpoint", lambda: transaction.publish(target))
    if num_kept_partial_checkpoints is not None:
        kept = num_kept_partial_checkpoints
        acting("removing old checkpoints", lambda: transaction.prune(target.folder, kept))


def _checked(
    tag: Any, partial: bool, model: Any, optimizer: Any, user_content: Any, kept: Any
) -> tuple[str, bool, str]:
    if isinstance(tag, bool) or not isinstance(tag, str | int):
        raise TypeError(f"tag must be a string, and is {tag!r}")
    if model is not None and not isinstance(model, DistributedModel):
        raise TypeError(f"model must be an smp.DistributedModel, and is a {type(model).__name__}")
    if optimizer is not None and not isinstance(optimizer, DistributedOptimizer):
        raise TypeError(f"optimizer must be an smp.DistributedOptimizer, and is a {type(optimizer).__name__}")
    if model is None and optimizer is None and user_content is None:
        raise ValueError(
            "save_checkpoint was given nothing to save: pass model=, optimizer= or user_content="
        )
    if not partial and model is None:
        raise ValueError("a full checkpoint is the file of a model: pass model=, or partial=True")
    if kept is not None and (isinstance(kept, bool) or not isinstance(kept, int) or kept < 1):
        raise ValueError(
            f"num_kept_partial_checkpoints must be at least 1, or None to keep all, and is {kept!r}"
        )
    Target(Path(), str(tag), partial)
    return str(tag), partial, secrets.token_hex(8)


def _local(model: DistributedModel | None, optimizer: DistributedOptimizer | None) -> dict[str, Any]:
    """This rank's part of each, as plain data."""
    local = {}
    if model is not None:
        local["model"] = plain(model.local_state_dict(), "model")
    if optimizer is not None:
        local["optimizer"] = plain(optimizer.local_state_dict(), "optimizer")
    return local


def _partial_parts(local: dict[str, Any]) -> dict[str, Any]:
    return {layout.part(kind, pp_rank(), tp_rank()): value for kind, value in local.items()}


def _full_parts(
    target: Target, local: dict[str, Any], takers: frozenset[int], translate: bool
) -> dict[str, Any]:
    """The files of a full checkpoint, on the ranks that write them."""
    whole: dict[str, Any] = {}
    for kind, value in local.items():
        value.pop(PARTIAL_KEY)
        if kind == "optimizer":
            whole[kind] = {**value, "state": gather(value["state"], takers)}
        else:
            whole[kind] = gather(value, takers)

    def translated() -> None:
        for to_hf, _ in state.module_manager.translate_functions if translate else ():
            whole["model"] = to_hf(whole["model"])

    together("translating the model", lambda: translated() if state.live.rank in takers else None)
    return {target.full_names[kind]: value for kind, value in whole.items()}


def _write(path: Path, value: Any) -> None:
    durable.write(path, lambda file: torch.save(value, file))
