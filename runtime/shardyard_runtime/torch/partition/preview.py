"""How a model would be partitioned, without ranks: ``python -m shardyard_runtime.torch.partition.preview pkg.mod:build``.

The decision goes to standard output as one JSON document; what the model's code prints goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from shardyard_runtime.torch.partition import auto, decision
from shardyard_runtime.torch.partition.advice import predictions
from shardyard_runtime.torch.partition.cost import Weighing
from shardyard_runtime.torch.partition.decision import Decision
from shardyard_runtime.torch.tracing.record import Trace
from shardyard_runtime.torch.tracing.run import TraceFailed, trace


class _Shell(nn.Module):
    """What a trace calls in place of smp.DistributedModel."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


Decide = Callable[[int, int], Decision]  # for how many partitions, with how many segments each


def preview(build: Callable[[], Any], weighing: Weighing) -> Decide:
    """Decisions for what ``build()`` returns: a module, or a pair of a module and one microbatch of inputs.

    Inputs are a dict (keywords), a tuple (positions) or one tensor; without them parameters are counted. The model
    is made on the meta device, so that it may be larger than this machine's memory; for real only where that fails.
    Raises TypeError where ``build`` returns something else, and what ``build`` raises.
    """
    # A model may refuse to be made, or to be run, without values, and says so in its own way.
    with contextlib.suppress(Exception), torch.device("meta"):
        root, inputs = _parts(build())
        return _decider(root, None if inputs is None else _traced(root, inputs), weighing)
    root, inputs = _parts(build())
    try:
        found = None if inputs is None else _traced(root, inputs)
    except TraceFailed as error:
        print(f"the model could not be traced: {error}", file=sys.stderr)
        found = None
    return _decider(root, found, weighing)


def _parts(built: Any) -> tuple[nn.Module, Any]:
    root, inputs = built if isinstance(built, tuple) and len(built) == 2 else (built, None)
    if not isinstance(root, nn.Module):
        raise TypeError(
            f"it returned {type(root).__name__}, not a torch.nn.Module or a pair of one and its inputs"
        )
    return root, inputs


def _traced(root: nn.Module, inputs: Any) -> Trace:
    shell = _Shell(root)

    def trial(place: Callable[[Any], Any]) -> None:
        placed = place(inputs)
        if isinstance(placed, Mapping):
            shell(**placed)
        else:
            shell(*placed if isinstance(placed, tuple) else (placed,))

    return trace(shell, root, trial, torch.device("cpu"), times=False, memory=False)


def _decider(root: nn.Module, found: Trace | None, weighing: Weighing) -> Decide:
    by = "parameter counts" if found is None else f"a trace on {found.kind}, operations counted"

    def decide(partitions: int, segments: int) -> Decision:
        assigned = auto.assign(root, partitions, found, weighing, segments)
        return decision.decided(root, partitions, assigned, by)

    return decide


def main() -> int:
    """Exit code 2: the name leads to no function, or the function to no model."""
    parser = argparse.ArgumentParser(
        prog="python -m shardyard_runtime.torch.partition.preview", description=__doc__
    )
    parser.add_argument("model", help="pkg.mod:function")
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--memory-weight", type=float, default=0.8)
    parser.add_argument(
        "--in-flight", type=int, default=1, help="microbatches whose activations are held at once"
    )
    parser.add_argument("--pipeline", default="interleaved", help="the parameter of that name")
    parser.add_argument("--active", type=int, default=1, help="microbatches that may be in flight")
    parser.add_argument("--microbatches", type=int, nargs="*", default=[], help="predict steps of so many")
    options = parser.parse_args()
    module, _, function = options.model.partition(":")
    weighing = Weighing(options.memory_weight, options.in_flight)
    with contextlib.redirect_stdout(sys.stderr):
        try:
            decide = preview(getattr(importlib.import_module(module), function), weighing)
            found = decide(options.partitions, auto.segments_of(options.pipeline))
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return 2
    document = {**asdict(found), "table": found.table()}
    if options.microbatches:
        seen = predictions(decide, options.partitions, options.active, options.microbatches)
        document["predictions"] = [asdict(one) for one in seen]
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
