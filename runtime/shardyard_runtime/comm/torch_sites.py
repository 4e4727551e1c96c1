"""The line of the user's script that a thread is at."""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType

import torch

_INSIDE = (os.path.dirname(torch.__file__), os.path.dirname(os.path.dirname(__file__)), threading.__file__)


def site(frame: FrameType) -> str:
    """``file:line`` of the innermost frame outside of torch, threading and this package."""
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def site_of(thread: int) -> str:
    """The same for a running thread, by its identity."""
    frame = sys._current_frames().get(thread)
    return "" if frame is None else site(frame)
