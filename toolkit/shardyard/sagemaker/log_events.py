"""The lines of a job's hosts in CloudWatch, each once and in its host's order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

GROUP = "/aws/sagemaker/TrainingJobs"
Sink = Callable[[str, str], None]


class LogEvents:
    """Reads on from where it was: call ``read`` again and again."""

    def __init__(self, logs: Any, job_name: str) -> None:
        self._logs, self._prefix = logs, f"{job_name}/"
        self._next: dict[str, str] = {}

    def read(self, sink: Sink) -> int:
        """Gives the new lines to ``sink`` with the name of their host; how many there were."""
        count = 0
        for stream in self._streams():
            for message in self._new(stream):
                for line in message.splitlines() or [""]:
                    sink(host(stream), line)
                count += 1
        return count

    def _streams(self) -> Iterator[str]:
        """One a host, there from its first line on; before the account's first job there is no group either."""
        pages = self._logs.get_paginator("describe_log_streams").paginate(
            logGroupName=GROUP, logStreamNamePrefix=self._prefix
        )
        try:
            for page in pages:
                yield from (one["logStreamName"] for one in page["logStreams"])
        except self._logs.exceptions.ResourceNotFoundException:
            return

    def _new(self, stream: str) -> Iterator[str]:
        """Pages until the token stays the same: an empty page is not yet the end."""
        while True:
            token = self._next.get(stream)
            more = {"nextToken": token} if token else {}
            page = self._logs.get_log_events(
                logGroupName=GROUP, logStreamName=stream, startFromHead=True, **more
            )
            yield from (event["message"] for event in page["events"])
            self._next[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token:
                return


def host(stream: str) -> str:
    """`algo-1` of `<job>/algo-1-1700000000`."""
    return stream.rpartition("/")[2].rpartition("-")[0] or stream
