"""Reads one file of a checkpoint, and names it when it cannot be read."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch


class CheckpointUnreadable(RuntimeError):
    """A file of a checkpoint is torn, or holds something else."""


def read(path: Path, trusted: bool) -> Any:
    """What ``torch.save`` wrote there, on the CPU; any object only when ``trusted``, tensors and plain data otherwise.

    Raises CheckpointUnreadable naming the file.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as records:  # torch.load takes flipped bits as they are
                torn = records.testzip()
            if torn is not None:
                raise zipfile.BadZipFile(f"the checksum of its record {torn!r} is wrong")
        return torch.load(path, map_location="cpu", weights_only=not trusted)
    except pickle.UnpicklingError as error:
        raise CheckpointUnreadable(
            f"{str(path)!r} is torn, or holds other objects than tensors and plain Python values, which are not loaded "
            "from a file that anybody may have written. If you trust it, torch.load(..., weights_only=False) it and "
            f"pass its state dict to model.load_state_dict ({str(error).splitlines()[0]})"
        ) from error
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        ImportError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointUnreadable(
            f"{str(path)!r} cannot be read: {reason}. Resume from an older tag, or copy the file again"
        ) from error
