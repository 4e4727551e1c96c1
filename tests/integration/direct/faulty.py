"""A proxy between client and registry that lets everything through except for what a fault says."""

from __future__ import annotations

import base64
import http.client
import math
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHUNK = 1 << 16


@dataclass
class Exchange:
    """One request on its way; a fault may change or answer it."""

    method: str
    path: str
    handler: Any
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent: int = 0

    def is_upload(self) -> bool:
        return self.method in ("PATCH", "PUT") and "/blobs/uploads/" in self.path

    def is_blob(self) -> bool:
        return self.method == "GET" and "/blobs/sha256" in self.path


class Chunked:
    """A request's body that comes in chunks (the Docker engine sends layers so), read as a plain stream."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._left, self._ended = stream, 0, False

    def read(self, size: int) -> bytes:
        if self._left == 0 and not self._ended:
            head = self._stream.readline()
            if not head:
                raise ConnectionResetError("the client went away")
            self._left = int(head.partition(b";")[0], 16)
            self._ended = self._left == 0
            if self._ended:
                self._stream.readline()
        part: bytes = self._stream.read(min(size, self._left))
        self._left -= len(part)
        if part and self._left == 0:
            self._stream.readline()
        return part


def body_of(handler: Any) -> tuple[Any, float, bool]:
    """A request's body, its length (infinite where it is not told) and whether it comes in chunks."""
    if handler.headers.get("Transfer-Encoding", "").lower() == "chunked":
        return Chunked(handler.rfile), math.inf, True
    return handler.rfile, int(handler.headers.get("Content-Length") or 0), False


Fault = Callable[[Exchange], bool]


def silent(exchange: Exchange) -> bool:
    return False


class Faulty:
    """`before` may answer a request itself (True: it did); `after` may change the registry's answer. `cut`
    ends the connection after so many bytes of an upload, as often as it is told."""

    def __init__(
        self, upstream: str, address: tuple[str, int] = ("127.0.0.1", 0), tls: ssl.SSLContext | None = None
    ) -> None:
        self.upstream, self.scheme = upstream, "https" if tls else "http"
        self.before: Fault = silent
        self.after: Fault = silent
        self.password: str | None = None
        self.cuts: list[tuple[str, int]] = []  # direction ("up", "down"), bytes until the cut
        self.pace: Callable[[int], None] | None = None
        self.log: list[Exchange] = []
        self._server = ThreadingHTTPServer(address, self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = f"localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def uploads(self) -> list[Exchange]:
        return [one for one in self.log if one.is_upload() and one.sent]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                faulty._serve(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

            def log_message(self, format: str, *arguments: object) -> None: ...

        return Handler

    def _serve(self, handler: Any) -> None:
        exchange = Exchange(handler.command, handler.path, handler)
        self.log.append(exchange)
        try:
            if not self._signed_in(handler):
                self.answer(exchange, 401, {"Www-Authenticate": 'Basic realm="x"'}, b"your token has expired")
            elif not self.before(exchange):
                self._forward(exchange)
        except (OSError, http.client.HTTPException):
            handler.close_connection = True

    def _signed_in(self, handler: Any) -> bool:
        if self.password is None:
            return True
        wanted = "Basic " + base64.b64encode(f"AWS:{self.password}".encode()).decode()
        return bool(handler.headers.get("Authorization") == wanted)

    def _forward(self, exchange: Exchange) -> None:
        handler = exchange.handler
        stream, length, chunked = body_of(handler)
        upstream = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            upstream.putrequest(exchange.method, exchange.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                if name.lower() not in ("connection", "authorization"):
                    upstream.putheader(name, value)
            upstream.putheader("X-Forwarded-Proto", self.scheme)  # of the addresses that it answers with
            upstream.endheaders()
            for part in self._parts(stream, length, exchange, "up"):
                upstream.send(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
            if chunked:
                upstream.send(b"0\r\n\r\n")
            answer = upstream.getresponse()
            exchange.status, exchange.headers = answer.status, dict(answer.getheaders())
            if not exchange.is_blob():
                exchange.body = answer.read()
            if self.after(exchange):
                return
            self._head(exchange, None if exchange.is_blob() else len(exchange.body))
            if exchange.is_blob():
                for part in self._parts(answer, int(exchange.headers["Content-Length"]), exchange, "down"):
                    handler.wfile.write(part)
            elif exchange.method != "HEAD":
                handler.wfile.write(exchange.body)
        finally:
            upstream.close()

    def _parts(self, stream: Any, length: float, exchange: Exchange, direction: str) -> Any:
        done = 0
        while done < length:
            part = stream.read(int(min(CHUNK, length - done)))
            done += len(part)
            if direction == "up":
                exchange.sent += len(part)
            if self.pace is not None:
                self.pace(len(part))
            if not part:
                return
            if length > CHUNK and self.cuts and self.cuts[0][0] == direction and done >= self.cuts[0][1]:
                self.cuts.pop(0)
                raise ConnectionResetError("cut")
            yield part

    def answer(self, exchange: Exchange, status: int, headers: dict[str, str], body: bytes = b"") -> bool:
        """Answers in the registry's place.

        What the client still sends is dropped: left unread, it would reset the connection, and the answer with it.
        """
        exchange.status, exchange.headers, exchange.body = status, headers, body
        exchange.handler.close_connection = True
        self._head(exchange, len(body))
        exchange.handler.wfile.write(body if exchange.method != "HEAD" else b"")
        exchange.handler.wfile.flush()
        stream, left, _ = body_of(exchange.handler)
        while exchange.sent == 0 and left and (part := stream.read(int(min(CHUNK, left)))):
            left -= len(part)
        return True

    def _head(self, exchange: Exchange, length: int | None) -> None:
        handler = exchange.handler
        handler.send_response(exchange.status)
        for name, value in exchange.headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding") or (
                length is None or exchange.method == "HEAD"
            ):
                handler.send_header(name, value)
        if length is not None and exchange.method != "HEAD":
            handler.send_header("Content-Length", str(length))
        if handler.close_connection:  # or the client might ask once more on a line that is about to end
            handler.send_header("Connection", "close")
        handler.end_headers()
