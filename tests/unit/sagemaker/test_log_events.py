from __future__ import annotations

from typing import Any

from shardyard.sagemaker.log_events import LogEvents, host


class Missing(Exception):
    pass


class Logs:
    """CloudWatch with one stream, whose pages are given; the last token comes back for good."""

    class exceptions:
        ResourceNotFoundException = Missing

    def __init__(self, *pages: list[str]) -> None:
        self.pages = list(pages)
        self.there = True

    def get_paginator(self, name: str) -> Logs:
        return self

    def paginate(self, **asked: Any) -> Any:
        if not self.there:
            raise Missing
        yield {"logStreams": []}  # a page may be empty
        yield {"logStreams": [{"logStreamName": f"{asked['logStreamNamePrefix']}algo-1-1700"}]}

    def get_log_events(self, nextToken: str = "0", **asked: Any) -> dict[str, Any]:
        at = int(nextToken)
        events = self.pages[at] if at < len(self.pages) else []
        return {
            "events": [{"message": one} for one in events],
            "nextForwardToken": str(min(at + 1, len(self.pages))),
        }


def read(events: LogEvents) -> list[tuple[str, str]]:
    got: list[tuple[str, str]] = []
    events.read(lambda name, line: got.append((name, line)))
    return got


def test_an_empty_page_is_not_the_end() -> None:
    assert read(LogEvents(Logs(["a"], [], [], ["b"]), "job")) == [("algo-1", "a"), ("algo-1", "b")]


def test_each_line_comes_once_also_when_there_are_more_later() -> None:
    logs = Logs(["a\nb\n"])
    events = LogEvents(logs, "job")
    assert read(events) == [("algo-1", "a"), ("algo-1", "b")]
    assert read(events) == []
    logs.pages.append(["", "c"])
    assert read(events) == [("algo-1", ""), ("algo-1", "c")]


def test_before_the_first_line_of_an_account_there_is_no_group() -> None:
    logs = Logs(["a"])
    logs.there = False
    events = LogEvents(logs, "job")
    assert read(events) == []
    logs.there = True
    assert read(events) == [("algo-1", "a")]


def test_the_host_of_a_stream() -> None:
    assert host("my-job-1/algo-12-1700000000") == "algo-12"
    assert host("odd") == "odd"
