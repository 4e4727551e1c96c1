"""Containers on a network of their own find each other by name."""

from __future__ import annotations

import json
import sys

import pytest

pytestmark = pytest.mark.testbed

# The containers' root file system is this machine's, seen read-only: no image has to be fetched.
TALK = """
import io, json, tarfile, time, docker
client = docker.from_env()
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w") as tar:
    for name in ("usr", "etc"):
        entry = tarfile.TarInfo(name)
        entry.type = tarfile.DIRTYPE
        entry.mode = 0o755
        tar.addfile(entry)
    for name in ("bin", "lib", "lib64", "sbin"):
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, "usr/" + name
        tar.addfile(entry)
client.api.import_image_from_data(buffer.getvalue(), repository="shardyard-testbed/host-usr", tag="1")
network = client.networks.create("talk", driver="bridge")
hosts = {name: client.containers.create(
    "shardyard-testbed/host-usr:1", ["sleep", "60"], name=name, hostname=name, network="talk",
    volumes={"/usr": {"bind": "/usr", "mode": "ro"}}) for name in ("algo-1", "algo-2")}
try:
    for host in hosts.values():
        host.start()
    found = {}
    for name, host in hosts.items():
        own = host.exec_run(["cat", "/etc/hostname"]).output.decode().strip()
        other = "algo-2" if name == "algo-1" else "algo-1"
        resolved = host.exec_run(["getent", "hosts", other])
        started = time.monotonic()
        host.exec_run(["getent", "hosts", "no-such-host"])
        seconds = time.monotonic() - started
        found[name] = [seconds, own, resolved.exit_code, resolved.output.decode()]
    print(json.dumps(found))
finally:
    for host in hosts.values():
        host.remove(force=True)
    network.remove()
"""


def test_two_containers_find_each_other_by_name(up):
    found = json.loads(up("exec", "--bare", "--", sys.executable, "-", stdin=TALK).stdout)
    for name, other in (("algo-1", "algo-2"), ("algo-2", "algo-1")):
        seconds, own, code, line = found[name]
        assert seconds < 5, "an unknown name must be refused at once"
        assert own == name
        assert code == 0
        assert line.split()[1].startswith(other)
