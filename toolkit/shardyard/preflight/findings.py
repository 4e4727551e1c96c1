"""All look-outs at once, each within its bound; whatever happens, findings come out."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

from shardyard.errors import MissingError, ProjectError, ShardyardError
from shardyard.preflight import base, credentials, data, machine, repository, role
from shardyard.preflight.aws import Aws
from shardyard.project.findings import Finding
from shardyard.project.model import Project

Lookout = Callable[[Project, Aws], Iterator[Finding]]
LOOKOUTS: tuple[Lookout, ...] = (
    credentials.identity,
    base.base,
    repository.repository,
    role.role,
    data.data,
    machine.engine,
)
WITHIN_S = 45.0


def preflight(
    project: Project, lookouts: tuple[Lookout, ...] = LOOKOUTS, within_s: float = WITHIN_S
) -> list[Finding]:
    """What AWS, the registries and this machine say of the project, in the order of the look-outs."""
    aws = Aws(project)
    done: queue.Queue[tuple[int, list[Finding]]] = queue.Queue()
    for number, look in enumerate(lookouts):
        # A daemon: what hangs (a name server that is silent) must not keep the process.
        threading.Thread(target=_run, args=(number, look, project, aws, done), daemon=True).start()
    found: dict[int, list[Finding]] = {}
    give_up = time.monotonic() + within_s
    while len(found) < len(lookouts):
        try:
            number, findings = done.get(timeout=max(0.0, give_up - time.monotonic()))
        except queue.Empty:
            break
        found[number] = findings
    late = [[_no_answer(look, within_s)] for number, look in enumerate(lookouts) if number not in found]
    return [one for some in [*(found[number] for number in sorted(found)), *late] for one in some]


def _run(
    number: int,
    look: Lookout,
    project: Project,
    aws: Aws,
    done: queue.Queue[tuple[int, list[Finding]]],
) -> None:
    found: list[Finding] = []
    try:
        for finding in look(project, aws):
            found.append(finding)
    except (MissingError, ProjectError):
        pass  # no credentials: the look at them says so, once; a wrong project: check does, without asking anyone
    except ShardyardError as error:
        found.append(Finding("error", "online", look.__name__, error.message, "", "remote"))
    except Exception as error:  # a preflight reports, it does not break
        text = f"could not be looked at: {type(error).__name__}: {error}"
        found.append(Finding("error", "online", look.__name__, text, "", "remote"))
    done.put((number, found))


def _no_answer(look: Lookout, within_s: float) -> Finding:
    text = f"no answer within {within_s:g} s"
    remedy = "is there a way to AWS from here? A proxy goes into HTTPS_PROXY"
    return Finding("error", "no-answer", look.__name__, text, remedy, "remote")
