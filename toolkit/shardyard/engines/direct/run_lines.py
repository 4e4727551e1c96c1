"""RUN lines that need no container: `pip install`, and the template's question whether mpi4py loads."""

from __future__ import annotations

import re
import shlex
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from shardyard.engines.direct import layers
from shardyard.engines.direct.build import WAY_OUT, Builder, shortened
from shardyard.engines.direct.store import Layer
from shardyard.engines.direct.target_python import TargetPython
from shardyard.errors import JobError, ProjectError
from shardyard.image.dockerfile import parse

# How templates/image asks whether the ranks can talk; it installs mpi4py where it is missing.
_MPI_QUESTION = (
    'python3 -c "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI" 2>/dev/null ||'
)
_NO_MPI = (
    "mpi4py does not load in this image: the base has no MPI library. Add one with the docker engine, "
    'for example: apt = ["libopenmpi-dev", "openmpi-bin"]'
)
_PIP = re.compile(r"(?:python3? -m )?pip3? install ")
_QUIET = (
    "--no-cache-dir",
    "--disable-pip-version-check",
    "-q",
    "--quiet",
    "--break-system-packages",
    "--no-input",
)
_OPERATORS = "();<>|&"
_EXPANSIONS = set("$`")


@dataclass
class PipInstall:
    """A `pip install` without anything that would need a shell or a build."""

    requirements: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def pip_install(line: str) -> PipInstall | None:
    """The line as a `pip install`, None where it is more than that."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:
        return None
    if any(not word.strip(_OPERATORS) or _EXPANSIONS & set(word) for word in words):
        return None  # a shell's work
    found = PipInstall()
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        name, _, value = words.pop(0).partition("=")
        found.environment[name] = value
    if not _PIP.match(" ".join(words) + " "):
        return None
    rest = iter(words[words.index("install") + 1 :])
    for word in rest:
        if word in ("-r", "--requirement", "--find-links"):
            (found.find_links if word == "--find-links" else found.files).append(next(rest, ""))
        elif word.startswith("-"):
            if word not in _QUIET:
                return None
        elif "://" in word or "/" in word:
            return None
        else:
            found.requirements.append(word)
    return found


def refuse(dockerfile: str) -> None:
    """Raises where a line needs a container: known before anything is fetched or sent."""
    for step in parse(dockerfile):
        if step.name == "RUN" and not step.text.startswith(_MPI_QUESTION) and pip_install(step.text) is None:
            raise _refused(step.text)


def needs_mpi(dockerfile: str) -> bool:
    """Whether the Dockerfile asks for an MPI that mpi4py can load."""
    return any(step.name == "RUN" and step.text.startswith(_MPI_QUESTION) for step in parse(dockerfile))


def _refused(line: str) -> ProjectError:
    return ProjectError(
        f"the direct engine runs nothing in a container, and this line needs one: RUN {shortened(line)}. {WAY_OUT}"
    )


@dataclass(frozen=True)
class RunLines:
    """Carries out RUN lines for one base. `target` looks into the base, at the first line that needs it."""

    target: object  # Callable[[], TargetPython]; a dataclass would bind it as a method
    platform: str

    def __call__(self, builder: Builder, line: str) -> Layer | None:
        if line.startswith(_MPI_QUESTION):
            target = self._python()
            if not target.has_mpi:
                raise JobError(_NO_MPI)
            return None if target.has_mpi4py else self._install(builder, PipInstall(["mpi4py>=4.1"]))
        asked = pip_install(line)
        if asked is None:
            raise _refused(line)
        return self._install(builder, asked)

    def _python(self) -> TargetPython:
        return self.target()  # type: ignore[operator, no-any-return]

    def _install(self, builder: Builder, asked: PipInstall) -> Layer | None:
        from shardyard.engines.direct import packages, resolve  # late: most builds install nothing

        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            files = [
                _exported(builder, one, here / f"file-{number}") for number, one in enumerate(asked.files)
            ]
            links = [
                _exported(builder, one, here / f"links-{number}")
                for number, one in enumerate(asked.find_links)
            ]
            environment = dict(asked.environment)
            for name in ("PIP_CERT", "SSL_CERT_FILE"):
                if name in environment:
                    environment[name] = str(_exported(builder, environment[name], here / name))
            target = self._python()
            found = resolve.changes(asked.requirements, files, target, self.platform, links, environment)
            if not found.wheels:
                return None
            root = here / "root"
            root.mkdir()
            return layers.make(packages.installed(found, target, builder.store, root), builder.store)


def _exported(builder: Builder, path: str, folder: Path) -> Path:
    """A path of the image as one of this machine: it must have been copied in by the Dockerfile."""
    source = builder.copied.get(path.rstrip("/"))
    if source is None:
        raise ProjectError(
            f"the Dockerfile uses {path!r}, which it does not copy from the project. {WAY_OUT}"
        )
    folder.mkdir(exist_ok=True)
    builder.context.export(source, folder)
    only = folder / source.rpartition("/")[2]
    return only if only.is_file() else folder
