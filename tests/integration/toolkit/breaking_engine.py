"""A Docker engine that breaks off in the middle of a build."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

FIRST = b'{"stream": "Step 1/9 : FROM base\\n"}\r\n'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rest: bytes

    def do_GET(self) -> None:
        """Version, ping and every image: the base is there."""
        body = b'{"ApiVersion": "1.43", "Id": "sha256:1", "Size": 1, "Os": "linux", "Architecture": "amd64"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(FIRST), FIRST) + self.rest)
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None: ...


@contextmanager
def breaking_engine(socket: Path, rest: bytes) -> Iterator[str]:
    """Its DOCKER_HOST; `rest` is what follows the first event of a build's stream."""
    handler = type("Breaking", (Handler,), {"rest": rest})
    with socketserver.ThreadingUnixStreamServer(str(socket), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"unix://{socket}"
        server.shutdown()
