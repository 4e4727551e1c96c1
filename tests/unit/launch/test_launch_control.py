"""The control connection: beats, silence, closing, and what is not JSON."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Iterator

import pytest

from shardyard_runtime.launch.control import CLOSED, Channel, Message


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = socket.create_connection(server.getsockname())
        here, _ = server.accept()
    channels = Channel(here), Channel(there)
    yield channels
    for channel in channels:
        channel.close()


def followed(channel: Channel, silence: float) -> queue.SimpleQueue[Message]:
    heard: queue.SimpleQueue[Message] = queue.SimpleQueue()
    channel.follow(heard.put, silence)
    return heard


def test_messages_pass_and_beats_do_not_show(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    for message in ({"type": "beat"}, {"type": "x", "text": "ü\n"}, {"type": "y"}):
        assert there.send(message)
    assert here.receive(1) == {"type": "x", "text": "ü\n"}
    assert here.receive(1) == {"type": "y"}
    assert here.receive(0.01) is None


def test_a_closed_connection_is_known_at_once(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    heard = followed(here, 60)
    start = time.monotonic()
    there.close()
    assert heard.get(timeout=5) == CLOSED
    assert time.monotonic() - start < 1
    assert not here.is_open


def test_silence_is_told_apart(pair: tuple[Channel, Channel]) -> None:
    start = time.monotonic()
    heard = followed(pair[0], 0.3)
    assert heard.get(timeout=5) == {"type": "silent", "seconds": 0.3}
    assert time.monotonic() - start >= 0.3


def test_two_that_have_nothing_to_say_stay_together(pair: tuple[Channel, Channel]) -> None:
    heard, _ = followed(pair[0], 0.6), followed(pair[1], 0.6)
    with pytest.raises(queue.Empty):
        heard.get(timeout=1.5)


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n", b"[1]\n", b"\xff\n"])
def test_a_stranger_counts_as_closed(pair: tuple[Channel, Channel], line: bytes) -> None:
    pair[1].connection.sendall(line)
    assert pair[0].receive(1) == CLOSED
