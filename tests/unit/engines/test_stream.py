from __future__ import annotations

import pytest

from shardyard.engines.stream import StreamError, aux, checked, error_of, failed_step, uploaded_layers


def test_error_detail_wins_over_error() -> None:
    event: dict[str, object] = {"error": "short", "errorDetail": {"message": "unauthorized: who are you"}}
    assert error_of(event) == "unauthorized: who are you"


def test_plain_error() -> None:
    assert error_of({"error": "no space left"}) == "no space left"


def test_error_without_text_is_still_an_error() -> None:
    assert error_of({"errorDetail": {}})


def test_progress_is_no_error() -> None:
    assert error_of({"status": "Pushing", "id": "abc"}) is None


def test_checked_raises_with_the_last_lines() -> None:
    events: list[dict[str, object]] = [
        {"stream": "Step 1/2 : FROM x\n"},
        {"stream": "boom: not found\n"},
        {"errorDetail": {"code": 127, "message": "returned a non-zero code: 127"}, "error": "..."},
    ]
    seen: list[dict[str, object]] = []
    with pytest.raises(StreamError, match="127") as caught:
        list(checked(events, seen.append))
    assert caught.value.tail == ["Step 1/2 : FROM x", "boom: not found"]
    assert failed_step(caught.value.tail) == "Step 1/2 : FROM x"
    assert len(seen) == 3


def test_aux_takes_the_last_digest() -> None:
    digest, seen = aux([{"status": "Pushed", "id": "a1"}, {"aux": {"Digest": "sha256:1"}}], "Digest")
    assert digest == "sha256:1"
    assert uploaded_layers([*seen, {"status": "Layer already exists", "id": "b2"}]) == {"a1"}
