"""A name server that knows no name, so that containers hear so at once.

With none within reach, Docker's resolver stays silent and a look-up of an unknown name takes 20 s.
"""

from __future__ import annotations

import socketserver
from typing import Any

from tests.testbed.settings import BRIDGE_ADDRESS

ANSWER_NO_SUCH_NAME = 0x8183
HEADER = 12


def refuse(query: bytes) -> bytes:
    """The answer "no such name" to a query: its id and its question, nothing else."""
    end = HEADER
    while query[end]:
        end += 1 + query[end]
    question = query[HEADER : end + 5]  # the closing zero, type and class
    return query[:2] + ANSWER_NO_SUCH_NAME.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\0" + question


class Handler(socketserver.BaseRequestHandler):
    request: Any

    def handle(self) -> None:
        query, socket = self.request
        if len(query) > HEADER:
            socket.sendto(refuse(query), self.client_address)


if __name__ == "__main__":
    socketserver.UDPServer((BRIDGE_ADDRESS, 53), Handler).serve_forever()
