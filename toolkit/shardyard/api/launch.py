"""``shardyard.launch``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from shardyard.local.logs import TaggedSink
from shardyard.plan.findings import refuse
from shardyard.project.load import load
from shardyard.sagemaker.account import Account, pinned
from shardyard.sagemaker.follow import Follower, command
from shardyard.sagemaker.stop_request import StopRequest
from shardyard.sagemaker.submit import submit


@dataclass(frozen=True)
class Launched:
    """A submitted job; ``status``, ``reason`` and ``model_uri`` are known when it was waited for."""

    job_name: str
    job_arn: str
    image_uri: str
    status: str | None = None
    reason: str = ""
    model_uri: str | None = None

    @property
    def stop_command(self) -> str:
        """What to type to stop it."""
        return command("stop", self.job_name, region=self.job_arn.split(":")[3])

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def launch(
    project: str | Path = ".",
    *,
    image: str | None = None,
    wait: bool = False,
    stop_on_interrupt: bool = False,
    log: TextIO | None = None,
    started: Callable[[Launched], None] | None = None,
) -> Launched:
    """Submits the training job; a job that fails is a result, not an exception.

    ``image`` replaces the image of [registry]. With ``wait`` the log of all hosts goes to ``log`` (standard
    output), each line tagged with its host. An interrupt leaves the job running, or with ``stop_on_interrupt``
    stops it and waits for that. ``started`` is called as soon as there is a job.
    """
    loaded = load(project)
    refuse(loaded)
    account = Account(loaded.registry.region)
    job = submit(loaded, image or pinned(loaded), account)
    launched = Launched(job.name, job.arn, job.image_uri)
    if started:
        started(launched)
    if not wait:
        return launched
    follower, sink = Follower(account, job.name), TaggedSink(log or sys.stdout)
    with StopRequest() if stop_on_interrupt else nullcontext() as stop:
        end = follower.follow(sink, stop)
    return replace(launched, status=end.status, reason=end.reason, model_uri=end.model_uri)
