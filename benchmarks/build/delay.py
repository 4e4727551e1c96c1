"""A line with 50 ms of round trip: a forwarder before the user's registry, which every client in the testbed is
led through. The kernel of the testbed's machine may know no netem."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

ONE_WAY_S = 0.025
PORT = 8443
OWN_ADDRESS = "127.0.0.9"  # the forwarder's own connections come from here, and are let through
RULE = ["OUTPUT", "-p", "tcp", "-d", "127.0.0.1", "--dport", "443", "!", "-s", OWN_ADDRESS, "-j", "DNAT",
        "--to-destination", f"127.0.0.1:{PORT}"]  # fmt: skip


@contextmanager
def slow_line() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # it listens
    subprocess.run(["iptables", "-t", "nat", "-I", *RULE], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-t", "nat", "-D", *RULE], check=True)
        process.terminate()
        process.wait()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Everything later by half a round trip, in order; as much at once as comes."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(1024)

    def deliver() -> None:
        while True:
            due, data = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return

    threading.Thread(target=deliver, daemon=True).start()
    while True:
        try:
            data = source.recv(1 << 18)
        except OSError:
            data = b""
        waiting.put((time.monotonic() + ONE_WAY_S, data))
        if not data:
            return


def serve(client: socket.socket) -> None:
    time.sleep(2 * ONE_WAY_S)  # the handshake of TCP
    upstream = socket.create_connection(("127.0.0.1", 443), source_address=(OWN_ADDRESS, 0))
    for one in (client, upstream):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=pump, args=(client, upstream), daemon=True).start()
    pump(upstream, client)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", PORT), backlog=64) as server:
        print("ready", flush=True)
        while True:
            accepted, _ = server.accept()
            threading.Thread(target=serve, args=(accepted,), daemon=True).start()
