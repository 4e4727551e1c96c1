"""Runs another test's worker with every tensor on links, over Gloo: NCCL's protocol, on CPUs. Arguments: its own."""

from __future__ import annotations

import runpy
import sys
from typing import Any

import torch

from shardyard_runtime.comm import torch_links
from shardyard_runtime.torch import init

moved = 0


class Counted(torch_links.Links):
    def send(self, dest: int, transfer: torch_links.Transfer) -> None:
        global moved
        moved += len(transfer.tensors)
        super().send(dest, transfer)


def gloo(device: torch.device) -> str:
    return "gloo"


def main() -> None:
    patched: Any = init
    patched.backend_for, patched.Links = gloo, Counted
    module, sys.argv = sys.argv[1], sys.argv[1:]
    runpy.run_module(module, run_name="__main__")
    print(f"linked {moved} tensors", flush=True)


if __name__ == "__main__":
    main()
