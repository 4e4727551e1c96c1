"""The other hosts' names, which a young cluster does not know at once."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping

from .errors import LaunchError

LIMIT_SECONDS = 900.0
PAUSE = 0.1


def wait_for_names(
    hosts: Iterable[str],
    environ: Mapping[str, str] = os.environ,
    limit: float = LIMIT_SECONDS,
    resolve: Callable[[str], object] = socket.gethostbyname,
) -> None:
    """Scripts look their peers up as soon as they start. A host alone, or all on one machine, need not wait."""
    names = list(hosts)
    on_one_machine = "SHARDYARD_LOCAL_HOSTS" in environ or len(names) < 2
    if on_one_machine or environ.get("SM_STUDIO_LOCAL_MODE", "").lower() == "true":
        return
    deadline = time.monotonic() + limit
    for name in names:
        while True:
            try:
                resolve(name)
                break
            except OSError as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LaunchError(
                        f"The name of host {name!r} is not known after {limit:g} s: {error}. See that every host "
                        "of resourceconfig.json was started.",
                        exit_code=1,
                    ) from error
            time.sleep(min(PAUSE, left))
