"""`python -m tests.testbed up | down | status | exec -- COMMAND...`"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.testbed import base, environment, lifecycle, namespace, requirements, settings
from tests.testbed.requirements import Missing


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description=settings.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "bring it up, in the background"), ("exec", "run a command inside")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--bare", action="store_true", help="without the stand-in base image")
        if name == "exec":
            command.add_argument("run", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    commands.add_parser("down", help="stop it")
    commands.add_parser("status", help="what is running, as JSON; exit code 3 when it is down")
    options = parser.parse_args(arguments)
    where = settings.load()
    try:
        if options.command == "exec":
            return run_inside(where, [x for i, x in enumerate(options.run) if i or x != "--"], options.bare)
        return {"up": up, "down": down, "status": status}[options.command](where, options)
    except Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except (lifecycle.Failed, base.Failed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def up(where: settings.Settings, options: argparse.Namespace) -> int:
    started = time.monotonic()
    requirements.check()
    where.make_folders()
    if not options.bare:
        base.prepare(where)
    with lifecycle.locked(lifecycle.changing(where)):
        pid = lifecycle.up(where)
        lifecycle.ephemeral(where).unlink(missing_ok=True)
    if not options.bare:
        base.ensure(where, pid)
    seconds = time.monotonic() - started
    print(f"testbed up in {seconds:.1f} s; DOCKER_HOST={where.docker_host}", file=sys.stderr)
    return 0


def down(where: settings.Settings, _options: argparse.Namespace) -> int:
    where.make_folders()
    with lifecycle.locked(lifecycle.changing(where)):
        lifecycle.down(where)
    return 0


def status(where: settings.Settings, _options: argparse.Namespace) -> int:
    pid = lifecycle.running_pid(where)
    bases = [base.IMAGE] if base.is_pushed(where) else []
    found = {"up": pid is not None, "supervisor": pid, "folder": str(where.folder), "bases": bases}
    print(json.dumps(found | {"docker_host": where.docker_host if pid else None}))
    return 0 if pid else 3


def run_inside(where: settings.Settings, command: list[str], bare: bool) -> int:
    if not command:
        print("error: nothing to run. Type: python -m tests.testbed exec -- COMMAND", file=sys.stderr)
        return 2
    if os.environ.get(settings.INSIDE):  # inside already
        return subprocess.run(command).returncode
    requirements.check()
    where.make_folders()
    if not bare:
        base.prepare(where)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with lifecycle.attached(where) as pid:
        if not bare:
            base.ensure(where, pid)
        entered = namespace.enter_command(pid, Path.cwd(), command)
        process = subprocess.Popen(entered, env=environment.inside(where))
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                continue  # the command got it too, and decides
            except SystemExit:
                process.terminate()
                process.wait()
                raise
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
