"""Installs what the code needs before it runs, once a host and offline where the packages are at hand."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from .entry import EntryPoint, Kind
from .errors import LaunchError
from .logs import say
from .masking import Masker

log = logging.getLogger(__name__)

WHEELHOUSE = "SHARDYARD_WHEELHOUSE"
_IN_IMAGE = Path("/opt/shardyard/wheelhouse")
_OF_IMAGE = Path("/opt/shardyard/requirements.txt")  # what was installed when the image was built
_LAST_LINES = 12


def install_requirements(
    entry: EntryPoint, environ: Mapping[str, str] = os.environ, of_image: Path = _OF_IMAGE
) -> None:
    """requirements.txt for every kind of entry point, and the package itself where there is a setup.py."""
    wanted = ["."] if entry.kind is Kind.PACKAGE else []
    listed = entry.code_dir / "requirements.txt"
    if listed.is_file() and not _same(listed, of_image):
        wanted += ["-r", "requirements.txt"]
    if not wanted:
        return
    if "SHARDYARD_LOCAL_HOSTS" in environ:
        # The Python of a developer's machine is not ours to change.
        log.warning(
            "not installed on this machine: %s. Install it yourself if the job needs it", " ".join(wanted)
        )
        return
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *wanted]
    variables = {**environ, "PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    if environ.get("CA_REPOSITORY_ARN"):
        from . import codeartifact

        variables["PIP_INDEX_URL"] = codeartifact.index_url(environ)
    wheelhouse = find_wheelhouse(entry.code_dir, environ)
    with one_at_a_time():
        if wheelhouse is not None:
            log.info("installing %s from %s", " ".join(wanted), wheelhouse)
            # A source tree is built without an environment of its own, which would come from the network.
            build = ["--no-build-isolation"] if "." in wanted else []
            offline = [*pip, *build, "--no-index", "--find-links", str(wheelhouse)]
            code, words = _run(offline, entry.code_dir, variables)
            if code == 0:
                return
            log.warning("%s has not all that is needed; the index is asked", wheelhouse)
            pip += ["--find-links", str(wheelhouse)]
        log.info("installing %s", " ".join(wanted))
        code, words = _run(pip, entry.code_dir, variables)
    if code:
        last = "\n".join([line for line in words.splitlines() if line.strip()][-_LAST_LINES:])
        raise LaunchError(
            f"pip could not install {' '.join(wanted)} of {entry.code_dir} (exit code {code}). Correct "
            f"requirements.txt, or bring the wheels in a folder `wheelhouse` beside it. pip said:\n"
            f"{Masker(environ).mask(last)}",
            exit_code=code,
        )


def find_wheelhouse(code_dir: Path, environ: Mapping[str, str]) -> Path | None:
    named = environ.get(WHEELHOUSE)
    if named and not Path(named).is_dir():
        raise LaunchError(f"{WHEELHOUSE} is {named!r}, and no such folder exists. Name a folder of wheels.")
    places = [Path(named)] if named else [code_dir / "wheelhouse", _IN_IMAGE]
    return next((place for place in places if place.is_dir()), None)


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two launchers that share one Python do not install into it at once."""
    prefix = os.stat(sys.prefix)
    name = f"shardyard-pip-{os.getuid()}-{prefix.st_dev}-{prefix.st_ino}.lock"
    path = Path(tempfile.gettempdir()) / name
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], folder: Path, variables: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    words = done.stdout.decode("utf-8", errors="replace")
    say(Masker(variables).mask(words).rstrip("\n"))
    return done.returncode, words
