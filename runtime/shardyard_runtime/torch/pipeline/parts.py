"""What both sides of the engine on a rank, caller and owner, work with."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from shardyard_runtime.torch.pipeline.planned.course import Course
from shardyard_runtime.torch.pipeline.randomness import Streams
from shardyard_runtime.torch.pipeline.recompute import Recompute
from shardyard_runtime.torch.pipeline.scheduler import Scheduler
from shardyard_runtime.torch.pipeline.values import Store


class Post(Protocol):
    """Sends a message to a rank; does not wait."""

    def __call__(self, dest: int, message: Any) -> None: ...


@dataclass
class Parts:
    """One rank's scheduler, course, random streams and values; ``lock`` guards ``store``, which two threads use."""

    rank: int
    device: torch.device
    scheduler: Scheduler
    course: Course
    streams: Streams
    post: Post
    recompute: Recompute
    store: Store = field(default_factory=Store)
    lock: threading.Lock = field(default_factory=threading.Lock)
