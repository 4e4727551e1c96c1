"""Which GPUs of this machine each host of a job gets."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from docker.types import DeviceRequest

from shardyard.errors import MissingError

LIMIT_S = 30


def installed(env: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Ids as the driver counts them, those that CUDA_VISIBLE_DEVICES leaves; none where there is no driver."""
    visible = (os.environ if env is None else env).get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = [one.strip() for one in visible.split(",")]
        return tuple(one for one in named if one and one != "-1")
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip().isdigit())


def share_out(
    ids: Sequence[str], hosts: Sequence[str], processes_per_host: int | None
) -> dict[str, tuple[str, ...]]:
    """Neighbouring GPUs for each host, one a process (None: an even share of all). Where there are too few for
    every host to have its own, hosts share them; a rank never shares one with another rank of its host.

    Raises MissingError where one host alone has more processes than there are GPUs.
    """
    if not ids:
        return {}
    each = processes_per_host or max(1, len(ids) // len(hosts))
    if each > len(ids):
        raise MissingError(
            f"{each} processes a host need as many GPUs, and this machine has {len(ids)}. Type: shardyard run "
            f"--processes-per-host {len(ids)}, or set [run] gpus = [] to try it on the CPU"
        )
    return {
        host: tuple(ids[(at * each + i) % len(ids)] for i in range(each)) for at, host in enumerate(hosts)
    }


def shared(shares: Mapping[str, Sequence[str]]) -> str | None:
    """What to say where hosts share GPUs, None where each has its own."""
    wanted = [gpu for ids in shares.values() for gpu in ids]
    there = len(set(wanted))
    if there == len(wanted):
        return None
    return f"{len(wanted)} ranks share {there} GPU{'s' * (there > 1)}: slower, and NCCL may refuse it"


def requests(ids: Sequence[str]) -> list[DeviceRequest]:
    """What the engine is asked for: these devices and no others, with all that CUDA programs need."""
    return [DeviceRequest(device_ids=list(ids), capabilities=[["gpu"]])] if ids else []


def variables(ids: Sequence[str] | None) -> dict[str, str]:
    """Where NVIDIA's runtime is the engine's default, its bases ask for all GPUs by themselves: () means none."""
    return {"NVIDIA_VISIBLE_DEVICES": "void"} if ids is not None and not ids else {}
