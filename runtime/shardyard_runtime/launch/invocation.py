"""Tells the log what is about to run, without its secrets."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping

from .arguments import to_arguments
from .config import JobConfig
from .entry import EntryPoint
from .masking import Masker
from .modes import Mode

log = logging.getLogger(__name__)

_REPETITIONS = {"SM_HPS", "SM_USER_ARGS", "SM_TRAINING_ENV"}  # of what the other lines say


def announce(mode: Mode, entry: EntryPoint, config: JobConfig, variables: Mapping[str, str]) -> None:
    masker = Masker(config.hyperparameters, variables)
    shown = masker.variables(variables)
    listed = "\n".join(
        f"  {name}={value}"
        for name, value in shown.items()
        if name.startswith("SM_") and name not in _REPETITIONS
    )
    words = [entry.function or entry.program, *masker.arguments(to_arguments(config.user_hyperparameters))]
    log.info("starting through %s, in %s:\n  %s", mode.value, entry.code_dir, shlex.join(words))
    log.info("its environment:\n%s", listed)
