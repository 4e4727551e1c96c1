"""Follows a job to its end: its lines as they come, its state, and all of its lines before the end is told."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from shardyard.sagemaker.account import Account, asking
from shardyard.sagemaker.log_events import LogEvents, Sink

ENDED = ("Completed", "Failed", "Stopped")
POLL_S = 2.0
# CloudWatch gets a host's last lines while SageMaker already says that the job has ended.
QUIET_S = 5.0


@dataclass(frozen=True)
class Ending:
    """``status`` is SageMaker's: Completed, Failed or Stopped; ``reason`` says why, where it says so."""

    status: str
    reason: str
    model_uri: str | None

    @property
    def ok(self) -> bool:
        return self.status == "Completed"


class Follower:
    """Of one job."""

    def __init__(self, account: Account, job_name: str, poll_s: float = POLL_S, quiet_s: float = QUIET_S):
        self._account, self._name = account, job_name
        self._events = LogEvents(account.client("logs"), job_name)
        self._poll_s, self._quiet_s = poll_s, quiet_s

    def follow(self, sink: Sink, stop: threading.Event | None = None) -> Ending:
        """Returns at the end. ``stop``, when set meanwhile, stops the job, whose end is followed all the same."""
        wanted = stop or threading.Event()
        look = command("describe", self._name, self._account.region)
        with asking(f"follow {self._name!r}, which goes on without us; look at it with: {look};"):
            job = self._describe()
            while job["TrainingJobStatus"] not in ENDED:
                self._events.read(sink)
                if wanted.wait(self._poll_s):
                    self._stop()
                    wanted = threading.Event()  # once
                job = self._describe()
            self._rest(sink)
        return ending(job)

    def _stop(self) -> None:
        """SageMaker refuses it for a job that has ended."""
        if self._describe()["TrainingJobStatus"] not in ENDED:
            self._account.sagemaker.stop_training_job(TrainingJobName=self._name)

    def _describe(self) -> dict[str, Any]:
        found: dict[str, Any] = self._account.sagemaker.describe_training_job(TrainingJobName=self._name)
        return found

    def _rest(self, sink: Sink) -> None:
        """Until nothing has come for a while."""
        last = time.monotonic()
        while time.monotonic() - last < self._quiet_s:
            if self._events.read(sink):
                last = time.monotonic()
            time.sleep(min(self._poll_s, 0.5))


def ending(job: dict[str, Any]) -> Ending:
    status = job["TrainingJobStatus"]
    secondary = job.get("SecondaryStatus", status)
    reason = job.get("FailureReason") or ("" if secondary == status else secondary)
    return Ending(status, reason, (job.get("ModelArtifacts") or {}).get("S3ModelArtifacts"))


def command(verb: str, job_name: str, region: str) -> str:
    """What to type to ``describe`` or ``stop`` a job: the region need not be the one of the caller's settings."""
    return f"aws sagemaker {verb}-training-job --region {region} --training-job-name {job_name}"
