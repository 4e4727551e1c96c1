"""SHARDYARD_TIMELINE: how many steps are kept, and the folder for what is written at the end."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "SHARDYARD_TIMELINE"
_FOLDER = "timeline"


def steps_to_keep() -> int:
    """0 where no timeline is asked for. Raises ValueError for what is no number of steps."""
    text = os.environ.get(VARIABLE) or "0"
    if not text.isdecimal():
        raise ValueError(
            f"{VARIABLE}={text!r} is no number of steps: the last N of each step function are recorded whole. "
            f"Set it to 10, or to 0 for no timeline"
        )
    return int(text)


def folder() -> Path:
    """Where SageMaker takes outputs from. Raises OSError, before anything is trained, where it cannot be made."""
    place = Path(os.environ.get("SM_OUTPUT_DATA_DIR") or "/opt/ml/output/data") / _FOLDER
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"{VARIABLE} asks for a timeline, and its folder {str(place)!r} cannot be made: {error.strerror}. "
            "Set SM_OUTPUT_DATA_DIR to a folder that can be written"
        ) from error
    return place
