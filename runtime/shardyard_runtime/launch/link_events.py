"""What comes over a control connection, as events of the host that hears it."""

from __future__ import annotations

from .control import Message
from .host import Event


def to_event(name: str, message: Message) -> Event:
    kind = message["type"]
    return (kind, name, message) if kind in {"closed", "silent"} else ("message", name, message)


def reason_of_loss(kind: str, message: Message, awaited: str) -> str:
    if kind == "silent":
        return f"nothing was heard from it for {message['seconds']:g} s, while {awaited}"
    return f"its control connection closed while {awaited}"
