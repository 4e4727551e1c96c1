"""Memory of this process, and of its device."""

from __future__ import annotations

import torch

_LINES = {b"VmRSS": 0, b"VmHWM": 1}


def memory(device: torch.device) -> tuple[int, int, int, int]:
    """Bytes: resident now, resident at most since the process began, allocated on its GPU now, and at most.

    From Linux's /proc/self/status; 0 where there is none, and for a device that is the CPU.
    """
    resident = [0, 0]
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                name, _, value = line.partition(b":")
                if name in _LINES:
                    resident[_LINES[name]] = int(value.split()[0]) * 1024
    except OSError:
        pass
    if device.type != "cuda":
        return resident[0], resident[1], 0, 0
    return (
        resident[0],
        resident[1],
        torch.cuda.memory_allocated(device),
        torch.cuda.max_memory_allocated(device),
    )
