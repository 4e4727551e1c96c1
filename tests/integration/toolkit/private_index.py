"""`python -m tests.integration.toolkit.private_index PORT`: a package index that wants a user and a password.

It holds one wheel, `alpha`, and ends when it is asked for `/end`.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.unit.engines.test_direct_requirements import wheel

USER, PASSWORD = "reader", "marker-index-password"


def handler(file: Path) -> type[BaseHTTPRequestHandler]:
    content = file.read_bytes()
    link = f"/files/{file.name}#sha256={hashlib.sha256(content).hexdigest()}"
    pages = {
        "/simple/alpha/": f'<a href="{link}">{file.name}</a>'.encode(),
        f"/files/{file.name}": content,
    }
    wanted = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/end":
                threading.Thread(target=self.server.shutdown).start()
            known = self.headers.get("Authorization") == wanted
            body = pages.get(self.path, b"") if known else b"who are you?"
            self.send_response(401 if not known else 200 if body else 404)
            if not known:
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/zip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *arguments: object) -> None: ...

    return Handler


def main(port: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = ThreadingHTTPServer(("127.0.0.1", int(port)), handler(wheel(Path(folder), "alpha", "1.0")))
        server.serve_forever(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
