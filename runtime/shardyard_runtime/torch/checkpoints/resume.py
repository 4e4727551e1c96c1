"""``smp.resume_from_checkpoint``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shardyard_runtime.errors import NotBuiltYet
from shardyard_runtime.torch.checkpoints import find
from shardyard_runtime.torch.checkpoints.layout import Target
from shardyard_runtime.torch.checkpoints.read import read
from shardyard_runtime.torch.checkpoints.together import together
from shardyard_runtime.torch.ranks import pp_rank, tp_rank
from shardyard_runtime.torch.state import state

log = logging.getLogger(__name__)


def resume_from_checkpoint(
    path: str | os.PathLike[str],
    tag: str | int | None = None,
    partial: bool = True,
    strict: bool = True,
    load_optimizer: bool = True,
    load_sharded_optimizer_state: bool = True,
    translate_function: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Any:
    """Loads a checkpoint into the script's model and optimizer, and returns its user content. Collective over the world.

    Call it after ``smp.DistributedModel`` and ``smp.DistributedOptimizer``, before or after the first step; what the
    partition decides is then loaded as soon as it is known.

    Args:
        path: the folder given to :func:`save_checkpoint`.
        tag: which checkpoint; None for the newest of the kind that ``partial`` asks for.
        partial: what ``save_checkpoint`` was told. A full one (False) may be any file of a model's state dict.
        strict: a key too many or too few is an error.
        load_optimizer: also the optimizer's state, where the script has one and the checkpoint holds it.
        load_sharded_optimizer_state: False is for sharded data parallelism, and raises NotBuiltYet.
        translate_function: applied to a full model's state dict before it is loaded.

    Returns:
        What was saved as ``user_content``; an empty dict when nothing was. It is read with ``pickle``, models and
        optimizers are not: resume only from folders that you trust.

    Raises FileNotFoundError when there is no such checkpoint, ValueError when it has another number of partitions,
    CheckpointUnreadable for a torn file, RuntimeError for keys that do not fit, PeerFailed when another rank failed.
    """

    def check() -> Target | None:
        if not load_sharded_optimizer_state:
            raise NotBuiltYet(
                "resume_from_checkpoint(load_sharded_optimizer_state=False)",
                "sharded data parallelism",
                "leave it out; load_optimizer=False loads no optimizer state",
            )
        if partial and translate_function is not None:
            raise ValueError(
                "translate_function is for full checkpoints: pass partial=False, or leave it out"
            )
        if state.model is None:
            raise RuntimeError(
                "resume_from_checkpoint loads into the script's smp.DistributedModel: make it before"
            )
        # One rank chooses: hosts with folders of their own may differ by a pointer that a crash left behind.
        return find.target(Path(path), tag, partial) if state.live.rank == 0 else None

    target = together("looking for a checkpoint", check)[0]
    assert target is not None
    target = Target(Path(path), target.tag, partial)
    with_optimizer = load_optimizer and state.optimizer is not None
    loaded: dict[str, Any] = {}

    def load() -> str | None:
        files, save = find.files(target, (pp_rank(), tp_rank()))
        if partial and with_optimizer and "optimizer" not in files:
            raise FileNotFoundError(
                f"the checkpoint {str(target.place)!r} was saved without an optimizer: pass load_optimizer=False"
            )
        for kind, file in files.items():
            if kind != "optimizer" or with_optimizer:
                loaded[kind] = read(file, trusted=kind == "user_content")
        return save

    saves = together("reading a checkpoint", load)
    if len(set(saves)) > 1:
        other = next(rank for rank, save in enumerate(saves) if save != saves[0])
        raise RuntimeError(
            f"{str(target.place)!r} holds another save of {target.tag!r} for rank {other} than for rank 0: "
            "their hosts' folders differ. Copy one over the other, or name an older tag"
        )
    if "model" in loaded:
        together(
            "loading the model", lambda: _load_model(loaded["model"], strict, partial, translate_function)
        )
    if "optimizer" in loaded:
        together("loading the optimizer", lambda: state.optimizer.load_state_dict(loaded["optimizer"]))  # type: ignore[union-attr]
    elif with_optimizer and not partial and state.live.rank == 0:
        log.warning("%s holds no optimizer state: the optimizer starts afresh", target.place)
    return loaded.get("user_content", {})


def _load_model(
    weights: dict[str, Any],
    strict: bool,
    partial: bool,
    translate: Callable[[dict[str, Any]], dict[str, Any]] | None,
) -> None:
    if not partial:
        if translate is not None:
            weights = translate(weights)
        else:
            for _, from_hf in state.module_manager.translate_functions:
                weights = from_hf(weights)
    assert state.model is not None
    state.model.load_state_dict(weights, strict=strict)
